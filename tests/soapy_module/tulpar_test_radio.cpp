// A receiver for tests that plays a file of samples in real time: a module of SoapySDR, loaded by
// the real library.
//
// What is in the air goes on whether anybody listens or not: sample k of the file is on the air k
// samples after the radio was first switched on in this process, through stalls, overflows and
// unplugging. The radio has a memory of `ring` seconds; when nobody reads, it keeps what it has and
// drops what comes, says so (SOAPY_SDR_OVERFLOW) when that place is reached, and its timestamps
// count what was dropped.
//
// Arguments (times in seconds since the radio was first switched on in this process):
//   serial=NAME          radios of different serials have times and faults of their own
//   file=PATH            samples; radios without a file are not found
//   format=cf32|cs16     of the file
//   loop=0|1             play again from its start, or else silence (default 1)
//   rate=HZ              the only sample rate there is (default 250000)
//   frequency=HZ         what is at 0 Hz of the file (default 437500000)
//   highest=HZ           it tunes to (default 1766000000)
//   highest_gain=DB      (default 40)
//   antenna=NAME         its first input, beside TX/RX (default RX)
//   formats=CS8/CS16     formats of streams, the native one first (default CF32/CS16/CS8)
//   full_scale=X         of native CS16 (default 32768)
//   time=0|1             whether samples have timestamps (default 1)
//   utc=0|1              whether timestamps are UTC, else since it was switched on (default 0)
//   ring=S  mtu=N        memory (default 0.5 s), samples at once (default 1024)
//   oscillator_ppm=X     the oscillator is too fast by so much: tunes too high
//   corr=0|1             has the component CORR, in whole ppm (default 0)
//   agc=0|1              has automatic gain (default 1)
//   overflow_at=S  overflow_length=S    samples are dropped (default 0.1 s)
//   stall_at=S  stall_length=S          nothing can be read (default 1 s); also stall_at=S:LENGTH
//   error_at=S           one read fails with SOAPY_SDR_STREAM_ERROR
//   unplug_at=S  replug_at=S            reads fail and it is not found, for replug_at after unplug_at
//   silent_unplug=0|1    reads time out instead, as librtlsdr's do (default 0)
//   permission=0         opening fails as librtlsdr does for the lack of it
// The environment variable TULPAR_TEST_RADIO holds arguments (`a=b,c=d`; radios separated by `;`)
// of radios that are found without being named.

#include <SoapySDR/Device.hpp>
#include <SoapySDR/Errors.hpp>
#include <SoapySDR/Formats.hpp>
#include <SoapySDR/Registry.hpp>
#include <SoapySDR/Types.hpp>
#include <SoapySDR/Version.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <complex>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace
{

using Clock = std::chrono::steady_clock;
using Sample = std::complex<float>;
using SoapySDR::Kwargs;

const char *const DRIVER = "tulpar_test";
const double PI = 3.14159265358979323846;

std::string text(const Kwargs &args, const std::string &key, const std::string &otherwise)
{
    const auto found = args.find(key);
    return found == args.end() || found->second.empty() ? otherwise : found->second;
}

double number(const Kwargs &args, const std::string &key, double otherwise)
{
    const auto found = args.find(key);
    return found == args.end() ? otherwise : std::strtod(found->second.c_str(), nullptr);
}

// What a radio's serial has gone through in this process.
struct Life
{
    bool on = false;
    Clock::time_point since;
    long long since_utc_ns = 0;
    bool failed = false;
    long opened = 0;
    long overflows = 0;
    long long dropped = 0;
};

std::mutex lives_mutex;
std::map<std::string, Life> lives;

Life &life(const Kwargs &args)
{
    return lives[text(args, "serial", "1")];
}

// Seconds since it was switched on.
double age(const Life &life)
{
    return life.on ? std::chrono::duration<double>(Clock::now() - life.since).count() : 0.0;
}

bool unplugged(const Kwargs &args, double at)
{
    const double from = number(args, "unplug_at", HUGE_VAL);
    return at >= from && at < from + number(args, "replug_at", HUGE_VAL);
}

bool unplugged(const Kwargs &args)
{
    std::lock_guard<std::mutex> lock(lives_mutex);
    return unplugged(args, age(life(args)));
}

std::vector<Sample> load(const Kwargs &args)
{
    const std::string path = text(args, "file", "");
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("test radio: cannot open " + path);
    const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), {});
    std::vector<Sample> samples;
    if (text(args, "format", "cf32") == "cs16")
    {
        samples.resize(bytes.size() / 4);
        for (size_t i = 0; i < samples.size(); i++)
        {
            int16_t pair[2];
            std::memcpy(pair, &bytes[4 * i], 4);
            samples[i] = Sample(pair[0] / 32768.0f, pair[1] / 32768.0f);
        }
    }
    else
    {
        samples.resize(bytes.size() / sizeof(Sample));
        if (!samples.empty()) std::memcpy(samples.data(), bytes.data(), samples.size() * sizeof(Sample));
    }
    if (samples.empty()) throw std::runtime_error("test radio: no samples in " + path);
    return samples;
}

// Samples [start, end) in the radio's memory; some were dropped before them.
struct Stretch
{
    long long start, end;
    bool after_loss;
};

// From this sample on the radio is tuned to this frequency.
struct Tuned
{
    long long sample;
    double frequency;
};

class TestRadio : public SoapySDR::Device
{
public:
    explicit TestRadio(const Kwargs &args)
        : args(args)
        , air(load(args))
        , rate(number(args, "rate", 250e3))
        , file_frequency(number(args, "frequency", 437.5e6))
        , ring(static_cast<long long>(number(args, "ring", 0.5) * rate))
        , mtu(static_cast<size_t>(number(args, "mtu", 1024)))
        , with_time(number(args, "time", 1) != 0)
        , tunings{{0, file_frequency}}
    {
        std::istringstream list(text(args, "formats", "CF32/CS16/CS8"));
        for (std::string format; std::getline(list, format, '/');) formats.push_back(format);
        settings["biastee"] = "false";
        std::lock_guard<std::mutex> lock(lives_mutex);
        life(args).opened++;
    }

    std::string getDriverKey() const override { return DRIVER; }
    std::string getHardwareKey() const override { return "file"; }
    size_t getNumChannels(const int direction) const override { return direction == SOAPY_SDR_RX ? 1 : 0; }

    std::vector<std::string> getStreamFormats(const int, const size_t) const override { return formats; }
    std::string getNativeStreamFormat(const int, const size_t, double &full_scale) const override
    {
        const auto &native = formats.front();
        full_scale = native == "CS16" ? number(args, "full_scale", 32768) : native == "CS8" ? 128 : 1;
        return native;
    }

    std::vector<std::string> listAntennas(const int, const size_t) const override { return {text(args, "antenna", "RX"), "TX/RX"}; }
    void setAntenna(const int, const size_t, const std::string &name) override { set("antenna", name); }
    std::string getAntenna(const int, const size_t) const override { return get("antenna", text(args, "antenna", "RX")); }

    std::vector<std::string> listGains(const int, const size_t) const override { return {"LNA"}; }
    bool hasGainMode(const int, const size_t) const override { return number(args, "agc", 1) != 0; }
    void setGainMode(const int, const size_t, const bool on) override { set("agc", on ? "true" : "false"); }
    bool getGainMode(const int, const size_t) const override { return get("agc", "true") == "true"; }
    // The gain model: 0 dB plays the file as it is.
    void setGain(const int direction, const size_t channel, const double value) override
    {
        setGain(direction, channel, "LNA", value);
    }
    void setGain(const int, const size_t, const std::string &, const double value) override
    {
        std::lock_guard<std::mutex> lock(mutex);
        gain = std::min(40.0, std::max(-40.0, value));
        settings["gain"] = std::to_string(gain);
    }
    double getGain(const int, const size_t, const std::string &) const override { return gain; }
    double getGain(const int, const size_t) const override { return gain; }
    SoapySDR::Range getGainRange(const int, const size_t, const std::string &) const override { return {-40, number(args, "highest_gain", 40)}; }
    SoapySDR::Range getGainRange(const int, const size_t) const override { return {-40, number(args, "highest_gain", 40)}; }

    std::vector<std::string> listFrequencies(const int, const size_t) const override
    {
        if (number(args, "corr", 0) != 0) return {"RF", "CORR"};
        return {"RF"};
    }
    SoapySDR::RangeList getFrequencyRange(const int, const size_t, const std::string &) const override
    {
        return {{24e6, highest()}};
    }
    SoapySDR::RangeList getFrequencyRange(const int, const size_t) const override { return {{24e6, highest()}}; }
    double getFrequency(const int, const size_t, const std::string &name) const override
    {
        std::lock_guard<std::mutex> lock(mutex);
        return name == "CORR" ? correction_ppm : nominal_frequency();
    }
    double getFrequency(const int direction, const size_t channel) const override
    {
        return getFrequency(direction, channel, "RF");
    }
    void setFrequency(const int direction, const size_t channel, const double hz, const Kwargs &extra) override
    {
        setFrequency(direction, channel, "RF", hz, extra);
    }
    void setFrequency(const int, const size_t, const std::string &name, const double value, const Kwargs &) override
    {
        std::lock_guard<std::mutex> lock(mutex);
        if (name == "CORR")
        {
            correction_ppm = std::trunc(value);
            tune(nominal_frequency());
            return;
        }
        if (!(value >= 24e6 && value <= highest())) throw std::runtime_error("test radio: PLL not locked");
        tune(value);
    }

    void setSampleRate(const int, const size_t, const double value) override
    {
        if (value != rate) throw std::runtime_error("test radio: no such rate");
    }
    double getSampleRate(const int, const size_t) const override { return rate; }
    std::vector<double> listSampleRates(const int, const size_t) const override { return {rate}; }
    SoapySDR::RangeList getSampleRateRange(const int, const size_t) const override { return {{rate, rate}}; }

    void setBandwidth(const int, const size_t, const double value) override { set("bandwidth", std::to_string(value)); }
    double getBandwidth(const int, const size_t) const override { return std::stod(get("bandwidth", "0")); }
    SoapySDR::RangeList getBandwidthRange(const int, const size_t) const override { return {{0, 8e6}}; }

    std::vector<std::string> listClockSources() const override { return {"internal", "external"}; }
    void setClockSource(const std::string &source) override { set("clock_source", source); }
    std::string getClockSource() const override { return get("clock_source", "internal"); }
    std::vector<std::string> listTimeSources() const override { return {"none", "gpsdo"}; }
    void setTimeSource(const std::string &source) override { set("time_source", source); }
    std::string getTimeSource() const override { return get("time_source", "none"); }
    bool hasHardwareTime(const std::string &) const override { return with_time; }
    long long getHardwareTime(const std::string &) const override { return time_ns(on_air()); }

    void writeSetting(const std::string &key, const std::string &value) override { set(key, value); }
    std::string readSetting(const std::string &key) const override
    {
        {
            std::lock_guard<std::mutex> lock(lives_mutex);
            const Life &now = life(args);
            if (key == "opened") return std::to_string(now.opened);
            if (key == "overflows") return std::to_string(now.overflows);
            if (key == "dropped") return std::to_string(now.dropped);
            if (key == "age") return std::to_string(age(now));
        }
        if (key == "frequency") return std::to_string(getFrequency(SOAPY_SDR_RX, 0));
        return get(key, "");
    }

    SoapySDR::Stream *setupStream(
        const int direction, const std::string &format, const std::vector<size_t> &, const Kwargs &) override
    {
        if (direction != SOAPY_SDR_RX) throw std::runtime_error("test radio: receives only");
        if (std::find(formats.begin(), formats.end(), format) == formats.end())
            throw std::runtime_error("test radio: no format " + format);
        stream_format = format;
        return reinterpret_cast<SoapySDR::Stream *>(this);
    }
    void closeStream(SoapySDR::Stream *) override {}
    size_t getStreamMTU(SoapySDR::Stream *) const override { return mtu; }
    int activateStream(SoapySDR::Stream *, const int, const long long, const size_t) override
    {
        {
            std::lock_guard<std::mutex> lock(lives_mutex);
            Life &now = life(args);
            if (!now.on)
            {
                now.on = true;
                now.since = Clock::now();
                const auto utc = std::chrono::system_clock::now().time_since_epoch();
                now.since_utc_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(utc).count();
            }
        }
        std::lock_guard<std::mutex> lock(mutex);
        written = on_air();
        memory.assign(1, {written, written, false});
        active = true;
        return 0;
    }
    int deactivateStream(SoapySDR::Stream *, const int, const long long) override
    {
        active = false;
        return 0;
    }

    int readStream(SoapySDR::Stream *, void *const *buffers, const size_t count, int &flags, long long &time,
        const long timeout_us) override
    {
        const auto until = Clock::now() + std::chrono::microseconds(timeout_us);
        const auto wanted = static_cast<long long>(std::min(count, mtu));
        for (;;)
        {
            double now;
            {
                std::lock_guard<std::mutex> lock(lives_mutex);
                Life &it = life(args);
                now = age(it);
                if (!it.failed && now >= number(args, "error_at", HUGE_VAL))
                {
                    it.failed = true;
                    return SOAPY_SDR_STREAM_ERROR;
                }
            }
            const bool gone = unplugged(args, now);
            if (gone && number(args, "silent_unplug", 0) == 0) return SOAPY_SDR_STREAM_ERROR;
            if (active && !gone)
            {
                std::lock_guard<std::mutex> lock(mutex);
                fill();
                if (!stalled(now))
                {
                    Stretch &first = memory.front();
                    if (first.after_loss)
                    {
                        first.after_loss = false;
                        return SOAPY_SDR_OVERFLOW;
                    }
                    const long long there = first.end - first.start;
                    const bool last = memory.size() == 1;
                    if (there >= wanted || (there > 0 && (!last || Clock::now() >= until)))
                    {
                        const long long n = std::min(there, wanted);
                        flags = with_time ? SOAPY_SDR_HAS_TIME : 0;
                        if (with_time) time = time_ns(first.start);
                        play(first.start, static_cast<size_t>(n), buffers[0]);
                        first.start += n;
                        if (first.start == first.end && !last) memory.pop_front();
                        return static_cast<int>(n);
                    }
                }
            }
            const auto left = until - Clock::now();
            if (left <= Clock::duration::zero()) return SOAPY_SDR_TIMEOUT;
            const auto due = std::chrono::duration<double>(static_cast<double>(wanted) / rate / 2);
            std::this_thread::sleep_for(std::min<Clock::duration>(
                left, std::max<Clock::duration>(std::chrono::duration_cast<Clock::duration>(due),
                    std::chrono::microseconds(200))));
        }
    }

private:
    double highest() const { return number(args, "highest", 1766e6); }
    const Kwargs args;
    const std::vector<Sample> air;
    const double rate, file_frequency;
    const long long ring;
    const size_t mtu;
    const bool with_time;
    std::vector<std::string> formats;
    std::string stream_format = "CF32";

    mutable std::mutex mutex;
    Kwargs settings;
    double gain = 0, correction_ppm = 0;
    std::vector<Tuned> tunings;
    std::deque<Stretch> memory;
    long long written = 0;
    bool active = false;

    void set(const std::string &key, const std::string &value)
    {
        std::lock_guard<std::mutex> lock(mutex);
        settings[key] = value;
    }
    std::string get(const std::string &key, const std::string &otherwise) const
    {
        std::lock_guard<std::mutex> lock(mutex);
        return text(settings, key, otherwise);
    }

    // The sample that is on the air now.
    long long on_air() const
    {
        std::lock_guard<std::mutex> lock(lives_mutex);
        return static_cast<long long>(age(life(args)) * rate);
    }
    long long time_ns(long long sample) const
    {
        const long long ns = std::llround(static_cast<double>(sample) / rate * 1e9);
        if (number(args, "utc", 0) == 0) return ns;
        std::lock_guard<std::mutex> lock(lives_mutex);
        return life(args).since_utc_ns + ns;
    }

    double asked = 0;
    double nominal_frequency() const { return asked > 0 ? asked : file_frequency; }
    void tune(double hz)
    {
        asked = hz;
        const double error_ppm = number(args, "oscillator_ppm", 0) - correction_ppm;
        tunings.push_back({on_air(), hz * (1 + error_ppm * 1e-6)});
    }

    bool stalled(double now) const
    {
        const std::string at = text(args, "stall_at", "");
        if (at.empty()) return false;
        const double from = std::strtod(at.c_str(), nullptr);
        const auto colon = at.find(':');
        const double length = colon == std::string::npos ? number(args, "stall_length", 1)
                                                         : std::strtod(at.c_str() + colon + 1, nullptr);
        return now >= from && now < from + length;
    }

    // Takes what came on the air since it was last called into the memory.
    void fill()
    {
        const long long now = on_air();
        const double from = number(args, "overflow_at", HUGE_VAL);
        if (std::isfinite(from))
        {
            const auto start = static_cast<long long>(from * rate);
            const auto end = start + static_cast<long long>(number(args, "overflow_length", 0.1) * rate);
            if (written < end && now > start)
            {
                if (written < start) take(start);
                if (now < end) return;
                drop(end);
            }
        }
        take(now);
    }
    void take(long long until)
    {
        long long held = 0;
        for (const auto &stretch : memory) held += stretch.end - stretch.start;
        const long long room = std::max(0LL, ring - held);
        const long long kept = std::min(until - written, room);
        memory.back().end += kept;
        written += kept;
        if (written < until) drop(until);
    }
    void drop(long long until)
    {
        {
            std::lock_guard<std::mutex> lock(lives_mutex);
            life(args).overflows++;
            life(args).dropped += until - written;
        }
        written = until;
        memory.push_back({until, until, true});
        if (memory.front().start == memory.front().end && memory.size() > 1) memory.pop_front();
    }

    // Samples as they are received, with what was tuned when they were on the air.
    void play(long long start, size_t count, void *into)
    {
        const auto length = static_cast<long long>(air.size());
        const bool again = number(args, "loop", 1) != 0;
        const float amplitude = static_cast<float>(std::pow(10.0, gain / 20));
        size_t tuned = 0;
        for (size_t i = 0; i < count; i++)
        {
            const long long k = start + static_cast<long long>(i);
            while (tuned + 1 < tunings.size() && tunings[tuned + 1].sample <= k) tuned++;
            Sample z = k < length || again ? air[static_cast<size_t>(k % length)] : Sample(0, 0);
            const double shift = file_frequency - tunings[tuned].frequency;
            if (shift != 0)
            {
                const double turns = std::fmod(shift * (static_cast<double>(k) / rate), 1.0);
                z *= Sample(static_cast<float>(std::cos(2 * PI * turns)), static_cast<float>(std::sin(2 * PI * turns)));
            }
            z *= amplitude;
            const auto code = [](float x, float scale) {
                return std::lround(std::min(scale - 1, std::max(-scale, x * scale)));
            };
            if (stream_format == "CF32") static_cast<Sample *>(into)[i] = z;
            else if (stream_format == "CS16")
            {
                const auto scale = static_cast<float>(number(args, "full_scale", 32768));
                static_cast<int16_t *>(into)[2 * i] = static_cast<int16_t>(code(z.real(), scale));
                static_cast<int16_t *>(into)[2 * i + 1] = static_cast<int16_t>(code(z.imag(), scale));
            }
            else
            {
                static_cast<int8_t *>(into)[2 * i] = static_cast<int8_t>(code(z.real(), 128));
                static_cast<int8_t *>(into)[2 * i + 1] = static_cast<int8_t>(code(z.imag(), 128));
            }
        }
    }
};

// Those of the environment, and the one that is described by the arguments.
SoapySDR::KwargsList find(const Kwargs &asked)
{
    if (text(asked, "driver", DRIVER) != DRIVER) return {};
    SoapySDR::KwargsList radios, found;
    const char *const described = std::getenv("TULPAR_TEST_RADIO");
    std::istringstream list(described ? described : "");
    for (std::string one; std::getline(list, one, ';');) radios.push_back(SoapySDR::KwargsFromString(one));
    if (asked.count("file")) radios.assign(1, asked);
    for (auto radio : radios)
    {
        if (asked.count("serial") && text(asked, "serial", "1") != text(radio, "serial", "1")) continue;
        if (text(radio, "file", "").empty() || unplugged(radio)) continue;
        radio["serial"] = text(radio, "serial", "1");
        radio["label"] = "Tulpar test radio " + radio["serial"];
        radio["driver"] = DRIVER;
        found.push_back(radio);
    }
    return found;
}

SoapySDR::Device *make(const Kwargs &args)
{
    if (text(args, "file", "").empty() || unplugged(args)) throw std::runtime_error("No test radio found!");
    if (text(args, "permission", "1") == "0") throw std::runtime_error("usb_open error -3");
    return new TestRadio(args);
}

SoapySDR::Registry registered(DRIVER, &find, &make, SOAPY_SDR_ABI_VERSION);

} // namespace
