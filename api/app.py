"""The composition root: the one place that knows every concrete class and puts them together.

Owns: the order in which parts are opened, and that they are closed in the reverse one.
Refuses to know: which kinds of a part the settings ask for (backends.py), how the process was started
(api/command_line), and how it listens (api/server.py).
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from typing import Final

from aiohttp import web

from api.accounts import page as account_page
from api.accounts import people_routes, privacy_routes
from api.accounts import routes as account_routes
from api.accounts.administration import Administration
from api.accounts.authenticator import Authenticator
from api.accounts.erasure import Erasure
from api.accounts.export import Exports
from api.accounts.letters import Letters
from api.accounts.passwords import PasswordHasher
from api.accounts.people import People
from api.accounts.relations import NoFriends, Relations
from api.accounts.service import Accounts
from api.accounts.tokens import AccessTokens
from api.backends import cache_of, limiter_of, mail_sender, mail_transport, open_storage, secrets_of
from api.bodies import BODIES, Bodies
from api.errors import ENVIRONMENT, LINE, answer_errors
from api.http import BODY_BYTES_MAX
from api.mail.outbox import Outbox
from api.middleware import (
    AUTHENTICATOR,
    DRAIN_HOOKS,
    METHODS,
    OPEN,
    PUBLIC,
    SETTINGS,
    TRAFFIC,
    Traffic,
    authenticate,
    dress,
    know_methods,
    methods_by_path,
    share,
    track,
)
from api.operations import front_page
from api.operations import routes as operation_routes
from api.operations.housekeeping import start_housekeeping
from api.operations.jobs import Jobs, Kind
from api.rate_limits import MemoryLimiter, NoLimiter
from api.rest import routes as rest_routes
from api.rest.endpoint import Endpoint
from api.rest.idempotency import Idempotency
from api.rest.serving import Serving
from api.secret_key import Keys, derive
from api.server import HANDLER_ARGS
from api.settings import Settings
from api.shedding import Line
from api.sync import devices as device_routes
from api.sync import routes as sync_routes
from api.sync import spaces as space_routes
from api.sync.throttle import AccountThrottle
from api.sync.websocket import LiveSockets
from api.training import analytics, exercises, exports, template_sharing, templates
from api.training import log as training_log
from api.training.exercise_search import ExerciseSearch
from api.training.histories import Histories
from api.training.imports import routes as import_routes
from api.training.imports.service import Imports
from api.training.record_keeping import RecordKeeping
from api.training.template_links import Links
from storage.database import Database
from storage.erasure import KIND as ERASE_ACCOUNT
from sync.access import DatabaseAccess
from sync.bus import Bus
from sync.engine import Engine
from sync.environment import Environment, system
from sync.live import Live
from sync.records import Records
from sync.retention import Retention
from sync.texts import ProcessTextReader

log = logging.getLogger(__name__)

ACCOUNTS: Final = web.AppKey("accounts", Accounts)
DATABASE: Final = web.AppKey("database", Database)
ENGINE: Final = web.AppKey("engine", Engine)
SOCKETS: Final = web.AppKey("sockets", LiveSockets)
JOBS: Final = web.AppKey("jobs", Jobs)
BUS: Final = web.AppKey("bus", Bus)
OUTBOX: Final = web.AppKey("outbox", Outbox)
SEARCH: Final = web.AppKey("search", ExerciseSearch)
RECORD_KEEPING: Final = web.AppKey("record_keeping", RecordKeeping)
# What the REST side consists of, for the OpenAPI page and its tests.
ENDPOINTS: Final = web.AppKey("endpoints", list[Endpoint])


async def create_app(settings: Settings, *, environment: Environment | None = None) -> web.Application:
    """Open everything that `settings` names and return the application over it.

    The database has to have its schema (`storage.migrations.upgrade`). The application closes what was opened
    here when it is cleaned up; a caller that never starts it freezes it and cleans it up itself.

    Raises:
        StorageError: the database cannot be opened.
        SecretKeyError: there is no usable secret.
    """
    environment = environment or system()
    if settings.public_url is None and not settings.is_loopback:
        log.warning("FITAI_PUBLIC_URL is not set: mails hold codes instead of links, and shared links have no server")
    async with AsyncExitStack() as opened:
        keys = [derive(secret) for secret in secrets_of(settings, environment)]
        database, bus = await opened.enter_async_context(open_storage(settings, environment))
        limiter = limiter_of(settings, environment)
        opened.push_async_callback(limiter.close)
        cache = cache_of(settings, environment)
        opened.push_async_callback(cache.close)
        hasher = PasswordHasher(environment, cost=settings.bcrypt_cost)
        opened.callback(hasher.close)
        access_tokens = AccessTokens(keys, environment)
        authenticator = Authenticator(access_tokens, database, bus, environment)
        opened.callback(authenticator.close)
        outbox = Outbox(
            database,
            environment,
            mail_transport(settings),
            sender=mail_sender(settings),
            compose=Letters(environment, settings.public_url).compose,
        )
        accounts = Accounts(
            database=database,
            bus=bus,
            environment=environment,
            hasher=hasher,
            access_tokens=access_tokens,
            keys=keys,
            limiter=limiter,
            outbox=outbox,
            confirmed=settings.confirms_registrations,
        )
        outbox.start()
        opened.push_async_callback(outbox.close)

        texts = ProcessTextReader()
        opened.push_async_callback(texts.close)
        engine = Engine(
            database,
            bus,
            texts,
            environment,
            devices_per_day=settings.devices_per_day if settings.rate_limits else None,
        )
        opened.push_async_callback(engine.votes.flush)
        opened.push_async_callback(engine.devices.flush)
        throttle = AccountThrottle(
            MemoryLimiter(environment) if settings.rate_limits else NoLimiter(),
            settings,
        )
        live = Live(
            bus=bus,
            feed=engine.feed,
            pusher=engine,
            access=DatabaseAccess(database, environment, authenticator.open),
            environment=environment,
            limits=engine.limits,
            throttle=throttle,
        )
        opened.push_async_callback(live.close)
        bodies = Bodies()
        sockets = LiveSockets(
            live, environment, check_token=authenticator.open, bodies=bodies, origins=_origins(settings)
        )
        await live.start()
        records = Records(database, engine.server_writer, texts)
        search = ExerciseSearch(database, environment)
        imports = Imports(database, environment, records)
        data_exports = Exports(database, environment, accounts.confirmation, settings.blob_folder / "exports")
        erasure = Erasure(database, bus, environment, accounts.confirmation, data_exports.sweep)
        kinds = {
            **imports.kinds(),
            **data_exports.kinds(),
            ERASE_ACCOUNT: Kind(erasure.erase, tries_max=None, at_once=2),
        }
        jobs = Jobs(database, environment, kinds)
        opened.push_async_callback(jobs.start())
        histories = Histories(database)
        keeping = RecordKeeping(
            database,
            engine.server_writer,
            histories,
            fraction=lambda: int.from_bytes(environment.token_bytes(2), "big") / 65_536,
        )
        engine.write_path.listeners.append(keeping.heard)
        opened.push_async_callback(keeping.start())
        idempotency = Idempotency(database, environment)
        chores = {
            "records": Retention(database, environment).run,
            "idempotency keys": idempotency.forget,
            "jobs": jobs.forget,
            "files of exports": data_exports.sweep,
            "files of imports": imports.forget,
            "uses of exercises": search.use.count,
            "links and old lines of the audit log": accounts.forget_old,
        }
        opened.push_async_callback(start_housekeeping(chores, environment))

        app = web.Application(
            # From the outside in: failures too get their CORS headers and their request id.
            middlewares=[track, share, answer_errors, know_methods, authenticate],
            handler_args=HANDLER_ARGS,
            client_max_size=BODY_BYTES_MAX,
        )
        app[ENVIRONMENT] = environment
        app[SETTINGS] = settings
        app[LINE] = Line(environment.now_ms)
        app[TRAFFIC] = Traffic()
        app[BODIES] = bodies
        app[SOCKETS] = sockets
        hooks: list[Callable[[], Awaitable[None]]] = [sockets.close_all]
        app[DRAIN_HOOKS] = hooks
        app[AUTHENTICATOR] = authenticator
        app[ACCOUNTS] = accounts
        app[OUTBOX] = outbox
        app[DATABASE] = database
        app[BUS] = bus
        app[ENGINE] = engine
        app[JOBS] = jobs
        app[SEARCH] = search
        app[RECORD_KEEPING] = keeping
        app.on_response_prepare.append(dress)
        app.add_routes(front_page.routes())
        app.add_routes(account_page.routes())
        app.add_routes(operation_routes.routes(database, bus))
        endpoints = [
            *account_routes.endpoints(accounts),
            *people_routes.endpoints(People(database, environment, Relations(NoFriends()), bus)),
            *privacy_routes.endpoints(data_exports, erasure, jobs),
            *import_routes.endpoints(imports, jobs),
            *exports.endpoints(records),
            *exercises.endpoints(search, records, bodies),
            *analytics.endpoints(histories, cache, environment),
            *training_log.endpoints(records),
            # Before those of one template: their addresses begin alike.
            *template_sharing.endpoints(records, Links(records, keys), public_url=settings.public_url),
            *templates.endpoints(records),
            *_elsewhere(settings, accounts, keys, opened),
        ]
        app[ENDPOINTS] = endpoints
        app[OPEN] = PUBLIC | {(each.method, each.path) for each in endpoints if each.public}
        serving = Serving(environment, limiter, idempotency, settings.trusted_networks(), bodies)
        app.add_routes(serving.routes(endpoints))
        app.add_routes(rest_routes.routes(endpoints, public_url=settings.public_url))
        app.add_routes(throttle.guard(sync_routes.routes(engine, throttle, bodies)))
        app.add_routes(throttle.guard(device_routes.routes(engine.devices)))
        app.add_routes(throttle.guard(space_routes.routes(engine.spaces)))
        app.add_routes(sockets.routes())
        _serve_under_v1(app)
        app[METHODS] = methods_by_path(app.router)

        everything = opened.pop_all()

    async def close(_: web.Application) -> None:
        await everything.aclose()

    app.on_cleanup.append(close)
    return app


@asynccontextmanager
async def administration(settings: Settings) -> AsyncIterator[Administration]:
    """What the operator does to accounts, over a migrated database. Raises StorageError where it is not to be had."""
    environment = system()
    async with open_storage(settings, environment) as (database, bus):
        with closing(PasswordHasher(environment, cost=settings.bcrypt_cost)) as hasher:
            yield Administration(database, bus, environment, hasher)


def _origins(settings: Settings) -> tuple[str, ...]:
    """The web origins that may open a socket beside the host itself: behind a proxy, the public address is another."""
    return (*settings.cors_origins, *((settings.public_url,) if settings.public_url else ()))


def _elsewhere(
    settings: Settings, accounts: Accounts, keys: Sequence[Keys], opened: AsyncExitStack
) -> Sequence[Endpoint]:
    """The endpoints of signing in with an account elsewhere, where there are providers."""
    if settings.public_url is None or not settings.oidc:
        return ()
    from api.accounts.oidc import routes as oidc_routes
    from api.accounts.oidc.provider import OidcProvider
    from api.accounts.oidc.signing_in import SignInElsewhere

    providers = [OidcProvider(each, accounts.parts.environment) for each in settings.oidc]
    for provider in providers:
        opened.push_async_callback(provider.close)
    elsewhere = SignInElsewhere(accounts.parts, providers=providers, public_url=settings.public_url, keys=keys)
    return oidc_routes.endpoints(elsewhere, public_url=settings.public_url, return_urls=settings.return_urls)


def _serve_under_v1(app: web.Application) -> None:
    """Make every route of /api answer under /api/v1 too. Call it after all routes are added.

    Works on what is registered, so no area can forget it; a path with patterns would lose them, and none has any.
    """
    for route in list(app.router.routes()):
        canonical = route.resource.canonical if route.resource is not None else ""
        if canonical == "/api" or canonical.startswith("/api/"):
            app.router.add_route(route.method, "/api/v1" + canonical.removeprefix("/api"), route.handler)
