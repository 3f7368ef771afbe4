//! Amounts as Kubernetes writes them, as bytes: `512Mi`, `10G`.

/// Reads an amount of bytes; `None` where it is not one. Fractions are cut off.
pub fn bytes(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 10] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
    ];
    let (number, unit) = UNITS.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, *size))).unwrap_or((text, 1));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 3 {
        return None;
    }
    let thousandths = format!("{fraction:0<3}").parse::<u64>().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(unit.checked_mul(thousandths)? / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_become_bytes() {
        for (text, wanted) in
            [("20Gi", Some(20 << 30)), ("1.5Mi", Some(1_572_864)), ("10G", Some(10_000_000_000)), ("512", Some(512)), ("0", Some(0))]
        {
            assert_eq!(bytes(text), wanted, "{text}");
        }
        for none in ["", "Gi", "much", "-1Gi", "1.2345Gi", "9999999999Pi"] {
            assert_eq!(bytes(none), None, "{none}");
        }
    }
}
