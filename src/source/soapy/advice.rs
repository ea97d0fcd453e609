//! What to do about a radio that cannot be opened: from the texts of drivers and of libusb, and
//! from what is plugged in.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

/// A driver that Debian packages a module for, and the USB vendors of its radios.
struct Driver {
    name: &'static str,
    package: &'static str,
    usb: &'static [(&'static str, &'static [&'static str])],
}

/// The drivers. Packages: Debian, Ubuntu, Raspberry Pi OS. USB: vendor, products.
const DRIVERS: &[Driver] = &[
    Driver {
        name: "rtlsdr",
        package: "soapysdr-module-rtlsdr",
        usb: &[("0bda", &["2832", "2838"])],
    },
    Driver {
        name: "uhd",
        package: "soapysdr-module-uhd",
        usb: &[("2500", &["0020", "0021", "0022"]), ("3923", &["7813", "7814"])],
    },
    Driver { name: "airspy", package: "soapysdr-module-airspy", usb: &[("1d50", &["60a1"])] },
    Driver {
        name: "hackrf",
        package: "soapysdr-module-hackrf",
        usb: &[("1d50", &["6089", "604b", "cc15"])],
    },
    Driver {
        name: "lime",
        package: "soapysdr-module-lms7",
        usb: &[("1d50", &["6108"]), ("0403", &["601f"])],
    },
    Driver {
        name: "bladerf",
        package: "soapysdr-module-bladerf",
        usb: &[("2cf0", &["5246", "5250"])],
    },
    Driver { name: "remote", package: "soapysdr-module-remote", usb: &[] },
    Driver { name: "miri", package: "soapysdr-module-mirisdr", usb: &[] },
    Driver { name: "osmosdr", package: "soapysdr-module-osmosdr", usb: &[] },
    Driver { name: "redpitaya", package: "soapysdr-module-redpitaya", usb: &[] },
    Driver { name: "rfspace", package: "soapysdr-module-rfspace", usb: &[] },
    Driver { name: "audio", package: "soapysdr-module-audio", usb: &[] },
];

/// What to install for a radio that nothing is known of.
pub(super) const INSTALL: &str = "install the module of the radio: sudo apt install \
                                  soapysdr-module-rtlsdr (or -uhd, -airspy, -hackrf, -lms7, \
                                  -bladerf, -remote)";

fn driver(name: &str) -> Option<&'static Driver> {
    DRIVERS.iter().find(|driver| driver.name.eq_ignore_ascii_case(name))
}

/// How to get the module of a driver.
pub(super) fn module_of(name: &str) -> String {
    match driver(name) {
        Some(driver) => format!("install its module: sudo apt install {}", driver.package),
        None => {
            let names: Vec<&str> = DRIVERS.iter().map(|driver| driver.name).collect();
            format!(
                "if it is none of {}, build its module from source and name its folder in \
                 SOAPY_SDR_PLUGIN_PATH",
                names.join(", ")
            )
        }
    }
}

/// The udev rule that lets users open a USB device of a vendor.
fn udev_rule(name: &str, vendor: Option<&str>) -> String {
    let known = vendor.or_else(|| Some(driver(name)?.usb.first()?.0));
    let vendor = known.unwrap_or("VENDOR (see lsusb)");
    format!(
        "no permission for the USB device: write SUBSYSTEM==\"usb\", ATTR{{idVendor}}==\"{vendor}\", \
         MODE=\"0660\", GROUP=\"plugdev\", TAG+=\"uaccess\" into /etc/udev/rules.d/60-sdr.rules, \
         run sudo udevadm control --reload && sudo udevadm trigger, be in the group plugdev, and \
         plug the radio in again"
    )
}

/// The kernel's television driver, or another program.
const BUSY: &str = "another program uses it, or the kernel's television driver does: close the \
                    program; or write blacklist dvb_usb_rtl28xxu into \
                    /etc/modprobe.d/rtl-sdr.conf and plug the radio in again";

/// What to do about what a driver said. `None`: nothing is known.
pub(super) fn advice(driver: &str, message: &str) -> Option<String> {
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    // Codes of libusb: −3 access, −4 no device, −5 not found, −6 busy.
    if says(&[
        "usb_open error -3",
        "libusb_error_access",
        "permission",
        "access denied",
        "eacces",
        "usb open failed: -3",
    ]) {
        return Some(udev_rule(driver, None));
    }
    if says(&["usb_claim_interface error -6", "libusb_error_busy", "busy", "in use", "claimed"]) {
        return Some(BUSY.to_owned());
    }
    if says(&["unable to open rtl-sdr", "failed to open rtl"]) {
        return Some(format!("either {BUSY}; or {}", udev_rule("rtlsdr", None)));
    }
    if says(&["uhd_images_downloader", "could not find path for image", "firmware image"]) {
        return Some("get the radio's firmware: sudo uhd_images_downloader".to_owned());
    }
    if says(&[
        "usb_open error -4",
        "libusb_error_no_device",
        "libusb_error_not_found",
        "no device",
        "devices found",
        "no rtl-sdr",
        "no test radio",
        "device matches",
        "get_index_by_serial",
        "not found",
        "lookuperror",
    ]) {
        return Some("plug it in; tulpar devices lists what is there".to_owned());
    }
    None
}

/// Whether a text of the library says that no module knows the driver.
pub(super) fn is_without_module(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("make() no match") || message.contains("no enumeration results")
}

/// A radio on USB that some driver is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PluggedIn {
    pub driver: &'static str,
    /// What to do if this user may not open it.
    pub forbidden: Option<String>,
}

impl PluggedIn {
    /// What to do about a radio that the library does not list.
    pub fn advice(&self) -> String {
        self.forbidden.clone().unwrap_or_else(|| {
            format!("it is plugged in, but not listed: {}", module_of(self.driver))
        })
    }
}

/// Radios on USB. Drivers often do not list those that may not be opened.
pub(super) fn plugged_in() -> Vec<PluggedIn> {
    let open = |node: &Path| OpenOptions::new().read(true).write(true).open(node).map(|_| ());
    plugged_into(Path::new("/sys/bus/usb/devices"), Path::new("/dev/bus/usb"), open)
}

fn plugged_into(
    devices: &Path,
    nodes: &Path,
    open: impl Fn(&Path) -> io::Result<()>,
) -> Vec<PluggedIn> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(devices) else { return found };
    for entry in entries.flatten() {
        let read = |file: &str| {
            let text = fs::read_to_string(entry.path().join(file)).ok()?;
            Some(text.trim().to_ascii_lowercase())
        };
        let (Some(vendor), Some(product)) = (read("idVendor"), read("idProduct")) else { continue };
        let known = DRIVERS.iter().find(|driver| {
            driver.usb.iter().any(|(v, products)| *v == vendor && products.contains(&&*product))
        });
        let Some(driver) = known else { continue };
        let number = |file: &str| read(file)?.parse::<u32>().ok();
        let (Some(bus), Some(device)) = (number("busnum"), number("devnum")) else { continue };
        let node = nodes.join(format!("{bus:03}")).join(format!("{device:03}"));
        let denied = open(&node).is_err_and(|e| e.kind() == io::ErrorKind::PermissionDenied);
        let forbidden = denied.then(|| udev_rule(driver.name, Some(&vendor)));
        found.push(PluggedIn { driver: driver.name, forbidden });
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_drivers_lead_to_what_to_do() {
        for (driver, message, part) in [
            ("rtlsdr", "usb_open error -3", "ATTR{idVendor}==\"0bda\""),
            (
                "hackrf",
                "hackrf_open() failed: Access denied (insufficient permissions) (-1000)",
                "1d50",
            ),
            ("airspy", "LIBUSB_ERROR_ACCESS", "udev"),
            ("none", "Permission denied", "lsusb"),
            ("rtlsdr", "usb_claim_interface error -6", "dvb_usb_rtl28xxu"),
            ("hackrf", "hackrf_open() failed: Resource busy", "another program"),
            ("rtlsdr", "Unable to open RTL-SDR device", "udev"),
            ("rtlsdr", "Unable to open RTL-SDR device", "dvb_usb_rtl28xxu"),
            ("rtlsdr", "No RTL-SDR devices found!", "plug it in"),
            ("hackrf", "no hackrf device matches", "plug it in"),
            ("rtlsdr", "rtlsdr_get_index_by_serial(77) - -2", "plug it in"),
            ("uhd", "LookupError: KeyError: No devices found for ----->", "plug it in"),
            ("uhd", "Could not find path for image: usrp_b200_fw.hex", "uhd_images_downloader"),
        ] {
            let advice = advice(driver, message).unwrap_or_else(|| panic!("{message}"));
            assert!(advice.contains(part), "{message}: {advice}");
            assert!(!advice.contains('\n'));
        }
        for message in ["", "PLL not locked", "é\0"] {
            assert_eq!(advice("rtlsdr", message), None);
        }
        assert!(is_without_module("SoapySDR::Device::make() no match"));
        assert!(!is_without_module("No RTL-SDR devices found!"));
        assert!(module_of("rtlsdr").contains("soapysdr-module-rtlsdr"));
        assert!(module_of("LIME").contains("soapysdr-module-lms7"));
        assert!(module_of("rtlsrd").contains("rtlsdr, uhd"));
    }

    #[test]
    fn radios_that_may_not_be_opened_are_seen_on_the_bus() {
        let folder = tempfile::tempdir().unwrap();
        for (name, vendor, product, device) in [
            ("1-1", "0bda", "2838", "7"),
            ("1-2", "1d6b", "0002", "1"),
            ("1-3", "1d50", "6089", "8"),
        ] {
            let path = folder.path().join(name);
            fs::create_dir(&path).unwrap();
            for (file, text) in
                [("idVendor", vendor), ("idProduct", product), ("busnum", "1"), ("devnum", device)]
            {
                fs::write(path.join(file), format!("{text}\n")).unwrap();
            }
        }
        fs::create_dir(folder.path().join("usb1")).unwrap();
        let open = |node: &Path| match node.to_str() {
            Some("/dev/001/007") => Err(io::ErrorKind::PermissionDenied.into()),
            Some("/dev/001/008") => Ok(()),
            other => panic!("{other:?}"),
        };
        let mut found = plugged_into(folder.path(), Path::new("/dev"), open);
        found.sort_by_key(|radio| radio.driver);
        let [hackrf, rtlsdr] = &found[..] else { panic!("{found:?}") };
        assert_eq!((hackrf.driver, rtlsdr.driver), ("hackrf", "rtlsdr"));
        assert!(rtlsdr.advice().contains("ATTR{idVendor}==\"0bda\""));
        assert!(hackrf.advice().contains("soapysdr-module-hackrf"));
        assert!(plugged_into(Path::new("/nonexistent"), Path::new("/dev"), open).is_empty());
    }
}
