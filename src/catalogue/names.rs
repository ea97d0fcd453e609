//! Names as people type them: case, spaces, punctuation and accents do not matter.

/// Folds a name for comparison: lower case, letters and digits only, accented letters as their
/// base letter. `"ÑuSat 1"`, `"nusat-1"` and `"NUSAT1"` are one name.
pub fn fold(name: &str) -> String {
    name.chars()
        .flat_map(char::to_lowercase)
        .filter(|c| c.is_alphanumeric())
        .map(|c| match c {
            'á' | 'à' | 'â' | 'ä' | 'ã' | 'å' => 'a',
            'ç' | 'ć' | 'č' => 'c',
            'é' | 'è' | 'ê' | 'ë' | 'ə' => 'e',
            'ğ' => 'g',
            'í' | 'ì' | 'î' | 'ï' | 'ı' => 'i',
            'ñ' | 'ń' | 'ň' => 'n',
            'ó' | 'ò' | 'ô' | 'ö' | 'õ' | 'ø' => 'o',
            'ş' | 'š' | 'ś' => 's',
            'ú' | 'ù' | 'û' | 'ü' => 'u',
            'ý' | 'ÿ' => 'y',
            'ž' | 'ź' | 'ż' => 'z',
            other => other,
        })
        .collect()
}

/// The names nearest to `word`, best first, at most `count`: those that contain it, then those
/// within a Damerau–Levenshtein distance of a third of its length (but at least one).
pub fn nearest<'a>(
    word: &str,
    names: impl IntoIterator<Item = &'a str>,
    count: usize,
) -> Vec<&'a str> {
    let word = fold(word);
    if word.is_empty() {
        return Vec::new();
    }
    let allowed = 1 + word.chars().count() / 3;
    let mut ranked: Vec<(usize, &str)> = names
        .into_iter()
        .filter_map(|name| {
            let folded = fold(name);
            let distance = strsim::damerau_levenshtein(&word, &folded);
            if distance <= 1 {
                Some((distance, name))
            } else if folded.contains(&word) {
                // Ahead of mere resemblance, behind a single slip of the finger.
                Some((1, name))
            } else {
                (distance <= allowed).then_some((distance, name))
            }
        })
        .collect();
    ranked.sort();
    ranked.dedup();
    ranked.into_iter().take(count).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_drops_what_people_leave_out() {
        for name in ["ÑuSat 1", "nusat-1", " NUSAT_1 "] {
            assert_eq!(fold(name), "nusat1");
        }
        assert_eq!(fold("İYİ-ışık"), "iyiisik");
        assert_eq!(fold("Чолбон"), "чолбон");
        assert_eq!(fold("- /"), "");
    }

    #[test]
    fn the_nearest_names_come_first() {
        let names = ["AALTO-1", "AAUSAT-4", "BEESAT-1", "BEESAT-9", "FOX-1A"];
        assert_eq!(nearest("alto1", names, 3)[0], "AALTO-1");
        assert_eq!(nearest("beesat", names, 3), ["BEESAT-1", "BEESAT-9"]);
        assert!(nearest("zzzzzzzz", names, 3).is_empty());
        assert!(nearest("", names, 3).is_empty());
    }
}
