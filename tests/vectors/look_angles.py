"""Makes look_angles.txt: azimuth, elevation, range and range rate as Skyfield computes them.

Everything is computed in Skyfield's inertial frame (GCRS), with precession, nutation and true
sidereal time, and not in TEME as Tulpar does it. The light time is iterated to the last digit.

    pip install skyfield==1.55 sgp4==2.27 && python look_angles.py > look_angles.txt
"""

import math
import random

import numpy as np
from skyfield.api import wgs84

from skyfield_objects import *

LIGHT_KM_PER_S = 299792.458
random = random.Random(2026)

print("# 1000 looks at 100 made-up objects, made by look_angles.py with Skyfield 1.55 and sgp4 2.27,")
print("# with UT1 = UTC. Light time is in all four figures (see src/doppler/mod.rs).")
print("# object: number, epoch, inclination, node, eccentricity, perigee, anomaly (degrees),")
print("#     revolutions a day, B*, kind")
print("# look: time, latitude, longitude (degrees), altitude (m), azimuth, elevation (degrees),")
print("#     range (km), range rate (km/s)")
number = 0
while number < 100:
    elements = make_elements(random, 90001 + number)
    satellite = satellite_of(elements)
    looks = []
    for _ in range(10):
        milliseconds = elements["tick"] * 84375 + random.randint(-14 * 86400000, 14 * 86400000)
        time = instant(elements["day"], milliseconds)
        latitude, longitude, altitude = make_station(random)
        station = wgs84.latlon(latitude, longitude, altitude)
        here = station.at(time)
        light_time = 0.0
        for _ in range(10):
            sent = timescale.tt_jd(time.whole, time.tt_fraction - light_time / 86400)
            there = satellite.at(sent)
            line = there.position.km - here.position.km
            distance = np.linalg.norm(line)
            light_time = distance / LIGHT_KM_PER_S
        unit = line / distance
        rate = unit @ (there.velocity.km_per_s - here.velocity.km_per_s) / (
            1 + unit @ there.velocity.km_per_s / LIGHT_KM_PER_S
        )
        north, east, up = station.rotation_at(time) @ unit
        azimuth = math.degrees(math.atan2(east, north)) % 360
        elevation = math.degrees(math.atan2(up, math.hypot(east, north)))
        looks.append(
            f"look {stamp(elements['day'], milliseconds)} {latitude} {longitude} {altitude}"
            f" {azimuth:.5f} {elevation:.5f} {distance:.6f} {rate:.9f}"
        )
        if not math.isfinite(rate):
            break
    else:
        # Objects that decay within the fortnight are left out.
        print(line_of(elements))
        print(*looks, sep="\n")
        number += 1
