"""Strong: nine and more headers since 2016, by comma (iOS) or semicolon (Android), in several languages.

The date is always ISO, local, without a zone. The set number is also the kind of set (`W`, `D`, `F`), and rows named
`Rest Timer` and `Note` are no sets. Older files write 0 where nothing was entered. The unit of weights is in a column,
in the header, or nowhere.
"""

from __future__ import annotations

from ..dialect import Column, Dialect

_HEADER = (
    "Date", "Workout Name", "Duration", "Exercise Name", "Set Order", "Weight", "Reps", "Distance", "Seconds", "Notes",
    "Workout Notes", "RPE",
)  # fmt: skip

# Where the header is in a language that has no synonyms below, the order of the columns tells.
_TEN = ("start", "title", "duration", "exercise", "set_order", "weight", "reps", "distance", "seconds", "rpe")
_ELEVEN = (*_TEN, "notes")
_TWELVE = (*_TEN[:9], "notes", "workout_notes", "rpe")
_THIRTEEN = (
    "workout_number", "start", "title", "duration", "exercise", "set_order", "weight", "reps", "rpe", "distance",
    "seconds", "notes", "workout_notes",
)  # fmt: skip
_FOURTEEN = (
    "start", "title", "exercise", "set_order", "weight", "weight_unit", "reps", "rpe", "distance", "distance_unit",
    "seconds", "notes", "workout_notes", "duration",
)  # fmt: skip

STRONG = Dialect(
    name="strong",
    title="Strong",
    columns=(
        Column("workout_number", ("workout #", "workout", "workout number", "#")),
        Column("start", ("date", "datum", "fecha", "data", "start")),
        Column(
            "title",
            (
                "workout name", "nom de l entrainement", "nom de l entraînement", "trainingsname", "workout titel",
                "name des trainings", "name des workouts", "nombre del entrenamiento", "nombre de entrenamiento",
                "nombre entreno", "nome dell allenamento", "nome allenamento", "nome do treino", "naam workout",
            ),
        ),
        Column(
            "duration",
            (
                "duration", "workout duration", "duree", "dauer", "trainingsdauer", "duracion", "duracao", "durata",
            ),
        ),
        Column(
            "exercise",
            (
                "exercise name", "nom de l exercice", "name der ubung", "ubungsname", "ubung", "nombre del ejercicio",
                "nombre de ejercicio", "nome dell esercizio", "nome esercizio", "nome do exercicio", "naam oefening",
            ),
        ),
        Column(
            "set_order",
            (
                "set order", "ordre de la serie", "ordre des series", "reihenfolge der satze", "satzreihenfolge",
                "satznummer", "satz", "orden de la serie", "orden de serie", "ordine serie", "ordine della serie",
                "ordem da serie", "set volgorde",
            ),
        ),
        Column("weight", ("weight", "kg", "lb", "lbs", "poids", "gewicht", "peso")),
        Column("weight_unit", ("weight unit", "unite de poids", "gewichtseinheit", "unidad de peso", "unita di peso")),
        Column("reps", ("reps", "wiederholungen", "wdh", "repetitions", "repeticiones", "ripetizioni", "repeticoes")),
        Column("rpe", ("rpe",)),
        Column("distance", ("distance", "km", "mi", "miles", "entfernung", "distanz", "strecke", "distancia")),
        Column("distance_unit", ("distance unit", "unite de distance", "entfernungseinheit", "unidad de distancia")),
        Column("seconds", ("seconds", "secondes", "sekunden", "segundos", "secondi", "seconden")),
        Column("notes", ("notes", "notizen", "notas", "note", "remarques")),
        Column(
            "workout_notes",
            (
                "workout notes", "notes d entrainement", "notes de l entrainement", "notes sur l entrainement",
                "trainingsnotizen", "workout notizen", "notizen zum training", "notas del entrenamiento",
                "notas de entrenamiento", "note allenamento", "note sull allenamento", "notas do treino",
            ),
        ),
    ),
    required=frozenset({"start", "title", "exercise", "set_order"}),
    header=_HEADER,
    header_lb=_HEADER,
    key=("start", "title"),
    kinds={
        "normal": "normal",
        "w": "warmup",
        "warm up": "warmup",
        "warmup": "warmup",
        "d": "drop",
        "drop set": "drop",
        "dropset": "drop",
        "drop": "drop",
        "f": "failure",
        "failure": "failure",
    },
    write_kind=str.upper,
    unit_words={"lb": "lbs"},
    positions=(_TEN, _ELEVEN, _TWELVE, _THIRTEEN, _FOURTEEN),
    decimals={"weight": 1, "reps": 1, "seconds": 1},
    empty={"distance": "0", "seconds": "0.0", "reps": "0.0"},
    zero_is_absent=frozenset({"reps", "distance", "seconds", "rpe"}),
)  # fmt: skip
