from pathlib import Path
from tests.client_sdk.world import World
def test_two(tmp_path: Path) -> None:
    w=World(tmp_path)
    a=w.phone()
    wk=a.put("workouts",title="t1",notes="hi")
    ex=a.put("workout_exercises",workout=wk)
    s=a.put("sets",workout_exercise=ex,reps=5)
    a.sync()
    b=w.phone()
    b.sync()
    assert b.get("sets",s).values["reps"]==5
    a.put("sets",s,reps=6); b.put("sets",s,reps=7)
    w.settle(); w.assert_settled(); w.assert_nothing_lost()
    w.close()
