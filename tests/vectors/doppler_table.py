"""Makes doppler_table.txt: a pass as another program would tabulate it.

The shift is that of the light path's length, differenced over 20 ms: nothing in it is derived as
Tulpar derives it. Time scale and Earth orientation are Skyfield's own.

    pip install skyfield==1.55 sgp4==2.27 && python doppler_table.py > doppler_table.txt
"""

import numpy as np
from skyfield.api import EarthSatellite, load, wgs84

LIGHT_KM_PER_S = 299792.458
CARRIER_HZ = 437.5e6
lines = open("pass.tle").read().splitlines()
timescale = load.timescale()
satellite = EarthSatellite(lines[1], lines[2], lines[0], timescale)
station = wgs84.latlon(40.41, 49.87, 28)


def path_km(seconds):
    """Length of the light path that ends at the station at this second of the pass."""
    time = timescale.utc(2026, 11, 4, 16, 50, seconds)
    here = station.at(time).position.km
    light_time = 0.0
    for _ in range(5):
        sent = timescale.tt_jd(time.whole, time.tt_fraction - light_time / 86400)
        light_time = np.linalg.norm(satellite.at(sent).position.km - here) / LIGHT_KM_PER_S
    return light_time * LIGHT_KM_PER_S


print("# Pass of pass.tle over 40.41,49.87,28 at 437.5 MHz, by doppler_table.py with Skyfield")
print("# unix_time received_frequency_hz")
began = 1793811000  # 2026-11-04T16:50:00Z
for second in range(0, 661):
    rate = (path_km(second + 0.01) - path_km(second - 0.01)) / 0.02
    print(began + second, f"{CARRIER_HZ * (1 - rate / LIGHT_KM_PER_S):.2f}")
