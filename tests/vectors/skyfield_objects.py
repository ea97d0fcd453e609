"""Made-up but plausible objects and stations for the vectors made with Skyfield."""

import datetime
import math

from sgp4.api import WGS72, Satrec
from skyfield.api import EarthSatellite, load

# TT - UT1 of 32.184 s + 37 leap seconds: UT1 is UTC, as Tulpar takes it, for dates from 2017 on.
timescale = load.timescale(delta_t=69.184, builtin=True)

EARTH_KM = 6378.135
MU = 398600.8


def revolutions_a_day(semi_major_axis_km):
    return 86400 / (2 * math.pi * math.sqrt(semi_major_axis_km**3 / MU))


def make_elements(random, number):
    """A dictionary of elements with the digits of a TLE; its epoch is a multiple of 1/1024 day,
    exact in binary and in milliseconds."""
    kind = random.choices(
        ["low", "sun-synchronous", "space station", "equatorial", "molniya", "navigation",
         "geostationary", "inclined synchronous", "transfer", "cubesat transfer"],
        [30, 25, 12, 6, 6, 6, 5, 3, 5, 2],
    )[0]
    bstar = 10 ** random.uniform(-5, -3.5)
    eccentricity = random.uniform(0.00005, 0.004)
    inclination = random.uniform(0, 150)
    perigee_km, apogee_km = None, None
    if kind == "low":
        perigee_km = random.uniform(330, 800)
    elif kind == "sun-synchronous":
        perigee_km, inclination = random.uniform(400, 800), random.uniform(96.8, 98.8)
    elif kind == "space station":
        perigee_km, inclination = random.uniform(340, 430), random.uniform(51.5, 51.75)
    elif kind == "equatorial":
        perigee_km, inclination = random.uniform(450, 700), random.uniform(0, 10)
    if perigee_km:
        motion = revolutions_a_day((EARTH_KM + perigee_km) / (1 - eccentricity))
    elif kind == "molniya":
        motion, eccentricity = random.uniform(2.004, 2.008), random.uniform(0.65, 0.72)
        inclination, bstar = random.uniform(62, 65), 0.0
    elif kind == "navigation":
        motion, eccentricity = random.uniform(1.7, 2.2), random.uniform(0.0001, 0.01)
        inclination, bstar = random.uniform(54, 65), 0.0
    elif kind in ("geostationary", "inclined synchronous"):
        motion, eccentricity = random.uniform(1.0020, 1.0034), random.uniform(0.0001, 0.001)
        inclination = random.uniform(0.01, 0.1) if kind == "geostationary" else random.uniform(2, 15)
        bstar = 0.0
    else:
        low, high = (300, 900), ((20000, 36000) if kind == "transfer" else (1500, 6000))
        perigee_km, apogee_km = random.uniform(*low), random.uniform(*high)
        axis = EARTH_KM + (perigee_km + apogee_km) / 2
        motion, eccentricity = revolutions_a_day(axis), (apogee_km - perigee_km) / 2 / axis
        inclination = random.uniform(3, 65)
        bstar = 10 ** random.uniform(-5, -4)
    day = datetime.date(2024, 1, 1) + datetime.timedelta(days=random.randrange(4 * 365))
    return {
        "number": number,
        "kind": kind.replace(" ", "-"),
        "day": day,
        "tick": random.randrange(1024),
        "inclination": round(inclination, 4),
        "node": round(random.uniform(0, 359.9999), 4),
        "eccentricity": round(eccentricity, 7),
        "perigee": round(random.uniform(0, 359.9999), 4),
        "anomaly": round(random.uniform(0, 359.9999), 4),
        "motion": round(motion, 8),
        "bstar": float(f"{bstar:.4e}"),
    }


def satellite_of(elements):
    """The object for Skyfield: WGS 72, improved mode."""
    record = Satrec()
    days = (elements["day"] - datetime.date(1949, 12, 31)).days + elements["tick"] / 1024
    record.sgp4init(
        WGS72, "i", elements["number"], days, elements["bstar"], 0.0, 0.0,
        elements["eccentricity"], math.radians(elements["perigee"]),
        math.radians(elements["inclination"]), math.radians(elements["anomaly"]),
        elements["motion"] * math.pi / 720, math.radians(elements["node"]),
    )
    return EarthSatellite.from_satrec(record, timescale)


def stamp(day, milliseconds):
    """RFC 3339 of some milliseconds after midnight."""
    time = datetime.datetime.combine(day, datetime.time()) + datetime.timedelta(
        milliseconds=milliseconds
    )
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03}Z"


def instant(day, milliseconds):
    """The same for Skyfield, without loss."""
    return timescale.utc(day.year, day.month, day.day, 0, 0, milliseconds / 1000)


def line_of(elements):
    """As the tests read it."""
    return " ".join(
        str(x)
        for x in [
            "object", elements["number"], stamp(elements["day"], elements["tick"] * 84375),
            elements["inclination"], elements["node"], f"{elements['eccentricity']:.7f}",
            elements["perigee"], elements["anomaly"], f"{elements['motion']:.8f}",
            elements["bstar"], elements["kind"],
        ]
    )


def make_station(random):
    """Anywhere, each tenth at a pole, all heights to 4000 m."""
    latitude = math.degrees(math.asin(random.uniform(-1, 1)))
    if random.random() < 0.1:
        latitude = random.choice([-90.0, 90.0])
    return round(latitude, 5), round(random.uniform(-180, 180), 5), round(random.uniform(0, 4000), 1)
