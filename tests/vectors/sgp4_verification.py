"""Makes sgp4_verification.txt from the verification set of AIAA 2006-6753.

The package sgp4 (PyPI) carries the set as its authors publish it: SGP4-VER.TLE and tcppver.out.
Positions are copied from there. Where the published run stops before its last step, the step at
which it stopped is written with the error code that the same theory gives in the package.

    pip install sgp4==2.27 && python sgp4_verification.py > sgp4_verification.txt
"""

import datetime
import os

import sgp4
from sgp4 import io
from sgp4.earth_gravity import wgs72
from sgp4.propagation import sgp4 as propagate

folder = os.path.dirname(sgp4.__file__)
objects = []
for line in open(os.path.join(folder, "SGP4-VER.TLE")):
    line = line.rstrip("\r\n")
    if line.startswith("1 "):
        first = line
    elif line.startswith("2 "):
        objects.append((first, line[:69], [float(x) for x in line[69:].split()]))
runs = []
for line in open(os.path.join(folder, "tcppver.out")):
    if line.rstrip().endswith("xx"):
        runs.append([])
    else:
        runs[-1].append(line.split()[:7])


def epoch(first):
    """Day of the year with eight decimals is a whole number of nanoseconds."""
    year, day = int(first[18:20]), first[20:32].strip()
    year += 1900 if year >= 57 else 2000
    whole, fraction = day.split(".")
    nanoseconds = int(fraction.ljust(8, "0")) * 864_000
    date = datetime.date(year, 1, 1) + datetime.timedelta(days=int(whole) - 1)
    seconds, nanoseconds = divmod(nanoseconds, 10**9)
    return f"{date}T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{nanoseconds:09}Z"


def exponential(field):
    """`-31515-4` is -0.31515e-4."""
    mantissa, exponent = field[:-2].strip(), field[-2:]
    sign = "-" if mantissa.startswith("-") else ""
    return f"{sign}0.{mantissa.lstrip('+-')}e{exponent}"


print("# The SGP4 verification set of Vallado, Crawford, Hujsak, Kelso: Revisiting Spacetrack Report")
print("# #3, AIAA 2006-6753: published elements and the published output of the theory, made by")
print("# sgp4_verification.py. The published output is of the improved mode: in AFSPC mode object")
print("# 23599 is off by 0.96 m, and all others agree in both.")
print("# object: NORAD number, epoch, inclination, node, eccentricity, perigee, anomaly (degrees),")
print("#     revolutions a day, B*")
print("# row: minutes since the epoch, x y z (km), vx vy vz (km/s), TEME")
print("# stop: minutes at which the published run gives no position any more, and the paper's code:")
print("#     1 eccentricity, 2 mean motion, 3 perturbed eccentricity, 4 semi-latus rectum, 6 decayed")
for (first, second, steps), rows in zip(objects, runs):
    number = first[2:7].strip()
    print(
        "object", number, epoch(first), second[8:16].strip(), second[17:25].strip(),
        "0." + second[26:33].strip(), second[34:42].strip(), second[43:51].strip(),
        second[52:63].strip(), exponential(first[53:61]),
    )
    start, end, step = steps
    satellite = io.twoline2rv(first, second, wgs72, "i")
    codes = {}
    for row in rows:
        minutes = float(row[0])
        propagate(satellite, minutes)
        if satellite.error:
            # Object 33334: the published run prints its only row after the error.
            codes[minutes] = satellite.error
        else:
            print(*[row[0].rstrip("0").rstrip(".")] + row[1:])
    last = float(rows[-1][0])
    if not codes and last + step <= end + 1e-6:
        propagate(satellite, last + step)
        codes[last + step] = satellite.error
    for minutes, code in codes.items():
        print("stop", f"{minutes:.8f}".rstrip("0").rstrip("."), code)
