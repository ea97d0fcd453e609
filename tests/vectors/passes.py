"""Makes passes.txt: passes over a week as Skyfield's find_events gives them.

    pip install skyfield==1.55 sgp4==2.27 && python passes.py > passes.txt
"""

import datetime
import random

import numpy as np
from skyfield.api import wgs84

from skyfield_objects import *

random = random.Random(4)


def at(time):
    """UTC, to the millisecond."""
    utc = time.utc_datetime() + datetime.timedelta(microseconds=500)
    return utc.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


print("# Passes of 50 made-up objects over one of 10 stations each in 7 days, made by passes.py with")
print("# Skyfield 1.55 and sgp4 2.27: find_events, with UT1 = UTC.")
print("# object: number, epoch, inclination, node, eccentricity, perigee, anomaly (degrees),")
print("#     revolutions a day, B*, kind")
print("# over: from, to, latitude, longitude (degrees), altitude (m), elevation of the horizon")
print("# rise, top, set: time; top: elevation (degrees)")
print("# below, above: instant and elevation (degrees above the horizon asked for) of Skyfield's own")
print("#     altaz() where find_events has the object on the other side of the horizon: it looks for a")
print("#     setting at the middle between two culminations only")
stations = [make_station(random) for _ in range(10)]
number = 0
while number < 50:
    elements = make_elements(random, 91001 + number)
    satellite = satellite_of(elements)
    latitude, longitude, altitude = stations[number % 10]
    station = wgs84.latlon(latitude, longitude, altitude)
    horizon = random.choice([0.0, 0.0, 5.0, 10.0])
    day = elements["day"] + datetime.timedelta(days=random.randrange(-7, 7))
    start, end = instant(day, 0), instant(day + datetime.timedelta(days=7), 0)
    end_state = [(satellite - station).at(t).position.km[0] for t in (start, end)]
    if any(x != x for x in end_state):
        continue
    times, events = satellite.find_events(station, start, end, altitude_degrees=horizon)
    print(line_of(elements))
    end_day = day + datetime.timedelta(days=7)
    print("over", stamp(day, 0), stamp(end_day, 0), latitude, longitude, altitude, horizon)
    for time, event in zip(times, events):
        if event == 1:
            elevation = (satellite - station).at(time).altaz()[0].degrees
            print("top", at(time), f"{elevation:.4f}")
        else:
            print({0: "rise", 2: "set"}[int(event)], at(time))
    minutes = np.arange(1, 7 * 1440)
    sampled = timescale.utc(day.year, day.month, day.day, 0, minutes)
    above = (satellite - station).at(sampled).altaz()[0].degrees - horizon
    crossings = [(time.tt, event) for time, event in zip(times, events) if event != 1]
    said = np.full(len(minutes), above[0] > 0)
    for tt, event in crossings:
        said[sampled.tt > tt] = event == 0
    wrong = (above > 0) != said
    for run in np.split(np.arange(len(minutes)), np.flatnonzero(np.diff(wrong.astype(int))) + 1):
        if wrong[run[0]]:
            most = run[np.argmax(np.abs(above[run]))]
            if abs(above[most]) < 0.05:
                continue  # within the half second to which find_events finds a crossing
            side = "above" if above[most] > 0 else "below"
            print(side, stamp(day, int(minutes[most]) * 60000), f"{above[most]:.4f}")
    number += 1
