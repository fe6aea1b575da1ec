"""A short training log in the form of a Hevy export, for a demonstration without a file."""

from __future__ import annotations

SAMPLE = """\
"title","start_time","end_time","description","exercise_title","superset_id","exercise_notes","set_index","set_type","weight_kg","reps","distance_km","duration_seconds","rpe"
"Leg day","13 Nov 2026, 18:00","13 Nov 2026, 19:05","","Squat (Barbell)",,"",0,"warmup",40,5,,,
"Leg day","13 Nov 2026, 18:00","13 Nov 2026, 19:05","","Squat (Barbell)",,"",1,"normal",82.5,5,,,7.5
"Leg day","13 Nov 2026, 18:00","13 Nov 2026, 19:05","","Squat (Barbell)",,"",2,"normal",82.5,5,,,8
"Leg day","13 Nov 2026, 18:00","13 Nov 2026, 19:05","","Squat (Barbell)",,"",3,"normal",82.5,5,,,8.5
"Leg day","13 Nov 2026, 18:00","13 Nov 2026, 19:05","","Romanian Deadlift (Barbell)",,"",0,"warmup",35,8,,,
"Leg day","13 Nov 2026, 18:00","13 Nov 2026, 19:05","","Romanian Deadlift (Barbell)",,"",1,"normal",72.5,8,,,7.5
"Leg day","13 Nov 2026, 18:00","13 Nov 2026, 19:05","","Romanian Deadlift (Barbell)",,"",2,"normal",72.5,8,,,8
"Leg day","13 Nov 2026, 18:00","13 Nov 2026, 19:05","","Romanian Deadlift (Barbell)",,"",3,"normal",72.5,8,,,8.5
"Leg day","13 Nov 2026, 18:00","13 Nov 2026, 19:05","","Leg Extension (Machine)",,"",0,"warmup",22.5,12,,,
"Leg day","13 Nov 2026, 18:00","13 Nov 2026, 19:05","","Leg Extension (Machine)",,"",1,"normal",47.5,12,,,7.5
"Leg day","13 Nov 2026, 18:00","13 Nov 2026, 19:05","","Leg Extension (Machine)",,"",2,"normal",47.5,12,,,8
"Leg day","13 Nov 2026, 18:00","13 Nov 2026, 19:05","","Leg Extension (Machine)",,"",3,"normal",47.5,12,,,8.5
"Pull day","11 Nov 2026, 18:00","11 Nov 2026, 19:05","","Deadlift (Barbell)",,"",0,"warmup",50,5,,,
"Pull day","11 Nov 2026, 18:00","11 Nov 2026, 19:05","","Deadlift (Barbell)",,"",1,"normal",102.5,5,,,7.5
"Pull day","11 Nov 2026, 18:00","11 Nov 2026, 19:05","","Deadlift (Barbell)",,"",2,"normal",102.5,5,,,8
"Pull day","11 Nov 2026, 18:00","11 Nov 2026, 19:05","","Deadlift (Barbell)",,"",3,"normal",102.5,5,,,8.5
"Pull day","11 Nov 2026, 18:00","11 Nov 2026, 19:05","","Bent Over Row (Barbell)",,"",0,"warmup",25,8,,,
"Pull day","11 Nov 2026, 18:00","11 Nov 2026, 19:05","","Bent Over Row (Barbell)",,"",1,"normal",52.5,8,,,7.5
"Pull day","11 Nov 2026, 18:00","11 Nov 2026, 19:05","","Bent Over Row (Barbell)",,"",2,"normal",52.5,8,,,8
"Pull day","11 Nov 2026, 18:00","11 Nov 2026, 19:05","","Bent Over Row (Barbell)",,"",3,"normal",52.5,8,,,8.5
"Pull day","11 Nov 2026, 18:00","11 Nov 2026, 19:05","","Bicep Curl (Dumbbell)",,"",0,"warmup",6.25,10,,,
"Pull day","11 Nov 2026, 18:00","11 Nov 2026, 19:05","","Bicep Curl (Dumbbell)",,"",1,"normal",15,10,,,7.5
"Pull day","11 Nov 2026, 18:00","11 Nov 2026, 19:05","","Bicep Curl (Dumbbell)",,"",2,"normal",15,10,,,8
"Pull day","11 Nov 2026, 18:00","11 Nov 2026, 19:05","","Bicep Curl (Dumbbell)",,"",3,"normal",15,10,,,8.5
"Push day","9 Nov 2026, 18:00","9 Nov 2026, 19:05","","Bench Press (Barbell)",,"",0,"warmup",30,8,,,
"Push day","9 Nov 2026, 18:00","9 Nov 2026, 19:05","","Bench Press (Barbell)",,"",1,"normal",62.5,8,,,7.5
"Push day","9 Nov 2026, 18:00","9 Nov 2026, 19:05","","Bench Press (Barbell)",,"",2,"normal",62.5,8,,,8
"Push day","9 Nov 2026, 18:00","9 Nov 2026, 19:05","","Bench Press (Barbell)",,"",3,"normal",62.5,8,,,8.5
"Push day","9 Nov 2026, 18:00","9 Nov 2026, 19:05","","Overhead Press (Barbell)",,"",0,"warmup",17.5,8,,,
"Push day","9 Nov 2026, 18:00","9 Nov 2026, 19:05","","Overhead Press (Barbell)",,"",1,"normal",37.5,8,,,7.5
"Push day","9 Nov 2026, 18:00","9 Nov 2026, 19:05","","Overhead Press (Barbell)",,"",2,"normal",37.5,8,,,8
"Push day","9 Nov 2026, 18:00","9 Nov 2026, 19:05","","Overhead Press (Barbell)",,"",3,"normal",37.5,8,,,8.5
"Push day","9 Nov 2026, 18:00","9 Nov 2026, 19:05","","Triceps Pushdown",,"",0,"warmup",12.5,12,,,
"Push day","9 Nov 2026, 18:00","9 Nov 2026, 19:05","","Triceps Pushdown",,"",1,"normal",27.5,12,,,7.5
"Push day","9 Nov 2026, 18:00","9 Nov 2026, 19:05","","Triceps Pushdown",,"",2,"normal",27.5,12,,,8
"Push day","9 Nov 2026, 18:00","9 Nov 2026, 19:05","","Triceps Pushdown",,"",3,"normal",27.5,12,,,8.5
"Leg day","6 Nov 2026, 18:00","6 Nov 2026, 19:05","","Squat (Barbell)",,"",0,"warmup",40,5,,,
"Leg day","6 Nov 2026, 18:00","6 Nov 2026, 19:05","","Squat (Barbell)",,"",1,"normal",80,5,,,7.5
"Leg day","6 Nov 2026, 18:00","6 Nov 2026, 19:05","","Squat (Barbell)",,"",2,"normal",80,5,,,8
"Leg day","6 Nov 2026, 18:00","6 Nov 2026, 19:05","","Squat (Barbell)",,"",3,"normal",80,5,,,8.5
"Leg day","6 Nov 2026, 18:00","6 Nov 2026, 19:05","","Romanian Deadlift (Barbell)",,"",0,"warmup",35,8,,,
"Leg day","6 Nov 2026, 18:00","6 Nov 2026, 19:05","","Romanian Deadlift (Barbell)",,"",1,"normal",70,8,,,7.5
"Leg day","6 Nov 2026, 18:00","6 Nov 2026, 19:05","","Romanian Deadlift (Barbell)",,"",2,"normal",70,8,,,8
"Leg day","6 Nov 2026, 18:00","6 Nov 2026, 19:05","","Romanian Deadlift (Barbell)",,"",3,"normal",70,8,,,8.5
"Leg day","6 Nov 2026, 18:00","6 Nov 2026, 19:05","","Leg Extension (Machine)",,"",0,"warmup",22.5,12,,,
"Leg day","6 Nov 2026, 18:00","6 Nov 2026, 19:05","","Leg Extension (Machine)",,"",1,"normal",45,12,,,7.5
"Leg day","6 Nov 2026, 18:00","6 Nov 2026, 19:05","","Leg Extension (Machine)",,"",2,"normal",45,12,,,8
"Leg day","6 Nov 2026, 18:00","6 Nov 2026, 19:05","","Leg Extension (Machine)",,"",3,"normal",45,12,,,8.5
"Pull day","4 Nov 2026, 18:00","4 Nov 2026, 19:05","","Deadlift (Barbell)",,"",0,"warmup",50,5,,,
"Pull day","4 Nov 2026, 18:00","4 Nov 2026, 19:05","","Deadlift (Barbell)",,"",1,"normal",100,5,,,7.5
"Pull day","4 Nov 2026, 18:00","4 Nov 2026, 19:05","","Deadlift (Barbell)",,"",2,"normal",100,5,,,8
"Pull day","4 Nov 2026, 18:00","4 Nov 2026, 19:05","","Deadlift (Barbell)",,"",3,"normal",100,5,,,8.5
"Pull day","4 Nov 2026, 18:00","4 Nov 2026, 19:05","","Bent Over Row (Barbell)",,"",0,"warmup",25,8,,,
"Pull day","4 Nov 2026, 18:00","4 Nov 2026, 19:05","","Bent Over Row (Barbell)",,"",1,"normal",50,8,,,7.5
"Pull day","4 Nov 2026, 18:00","4 Nov 2026, 19:05","","Bent Over Row (Barbell)",,"",2,"normal",50,8,,,8
"Pull day","4 Nov 2026, 18:00","4 Nov 2026, 19:05","","Bent Over Row (Barbell)",,"",3,"normal",50,8,,,8.5
"Pull day","4 Nov 2026, 18:00","4 Nov 2026, 19:05","","Bicep Curl (Dumbbell)",,"",0,"warmup",6.25,10,,,
"Pull day","4 Nov 2026, 18:00","4 Nov 2026, 19:05","","Bicep Curl (Dumbbell)",,"",1,"normal",12.5,10,,,7.5
"Pull day","4 Nov 2026, 18:00","4 Nov 2026, 19:05","","Bicep Curl (Dumbbell)",,"",2,"normal",12.5,10,,,8
"Pull day","4 Nov 2026, 18:00","4 Nov 2026, 19:05","","Bicep Curl (Dumbbell)",,"",3,"normal",12.5,10,,,8.5
"Push day","2 Nov 2026, 18:00","2 Nov 2026, 19:05","","Bench Press (Barbell)",,"",0,"warmup",30,8,,,
"Push day","2 Nov 2026, 18:00","2 Nov 2026, 19:05","","Bench Press (Barbell)",,"",1,"normal",60,8,,,7.5
"Push day","2 Nov 2026, 18:00","2 Nov 2026, 19:05","","Bench Press (Barbell)",,"",2,"normal",60,8,,,8
"Push day","2 Nov 2026, 18:00","2 Nov 2026, 19:05","","Bench Press (Barbell)",,"",3,"normal",60,8,,,8.5
"Push day","2 Nov 2026, 18:00","2 Nov 2026, 19:05","","Overhead Press (Barbell)",,"",0,"warmup",17.5,8,,,
"Push day","2 Nov 2026, 18:00","2 Nov 2026, 19:05","","Overhead Press (Barbell)",,"",1,"normal",35,8,,,7.5
"Push day","2 Nov 2026, 18:00","2 Nov 2026, 19:05","","Overhead Press (Barbell)",,"",2,"normal",35,8,,,8
"Push day","2 Nov 2026, 18:00","2 Nov 2026, 19:05","","Overhead Press (Barbell)",,"",3,"normal",35,8,,,8.5
"Push day","2 Nov 2026, 18:00","2 Nov 2026, 19:05","","Triceps Pushdown",,"",0,"warmup",12.5,12,,,
"Push day","2 Nov 2026, 18:00","2 Nov 2026, 19:05","","Triceps Pushdown",,"",1,"normal",25,12,,,7.5
"Push day","2 Nov 2026, 18:00","2 Nov 2026, 19:05","","Triceps Pushdown",,"",2,"normal",25,12,,,8
"Push day","2 Nov 2026, 18:00","2 Nov 2026, 19:05","","Triceps Pushdown",,"",3,"normal",25,12,,,8.5
"""
