"""What a training log adds up to: pure functions of the records that are shown, exact, and the same however they came.

| module | what |
|---|---|
| `history.py` | a person's training, put together from every space they train in, and caught up record by record |
| `records.py`, `marks.py` | personal records, kept up with the history; the sets that broke one |
| `analytics.py` | a span of days: in all, by day, by week, by exercise, by muscle, compared with the span before |
| `weeks.py`, `goals.py`, `exercise_progress.py` | streaks; how far goals are; one exercise through time |
| `charts/` | pictures of these, as SVG |
| `steps.py` | all of that in small steps, for who must not be held up by a long history |

Nothing here reads a clock, a file or a database, and nothing of the house is imported: bytes, days and ids are
arguments.
`docs/figures.md` has every definition.
"""

from figures.analytics import TIMEFRAMES, Analytics, analyse, analyse_in_steps
from figures.exercise_progress import Point, progress_of_exercise, progress_of_exercise_in_steps
from figures.forms import Exercise, Stored, UnreadableRecord
from figures.goals import Progress, progress_of, progress_of_in_steps
from figures.history import Dirty, History, exercises_in
from figures.lifts import Lift
from figures.marks import marks_of
from figures.one_rep_max import FORMULAS, REPS_MAX
from figures.records import Difference, Key, PersonalRecord, Records
from figures.spaces import Person
from figures.steps import Steps, sorted_in_steps
from figures.weeks import Streak, streak, streak_of, week_of

__all__ = [
    "FORMULAS",
    "REPS_MAX",
    "TIMEFRAMES",
    "Analytics",
    "Difference",
    "Dirty",
    "Exercise",
    "History",
    "Key",
    "Lift",
    "Person",
    "PersonalRecord",
    "Point",
    "Progress",
    "Records",
    "Steps",
    "Stored",
    "Streak",
    "UnreadableRecord",
    "analyse",
    "analyse_in_steps",
    "exercises_in",
    "marks_of",
    "progress_of",
    "progress_of_exercise",
    "progress_of_exercise_in_steps",
    "progress_of_in_steps",
    "sorted_in_steps",
    "streak",
    "streak_of",
    "week_of",
]
