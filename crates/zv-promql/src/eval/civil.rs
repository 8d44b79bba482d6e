//! The date and time of day in UTC that a number of seconds is.

/// A date and a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    year: i64,
    month: i64,
    day: i64,
    /// Since 1970.
    days: i64,
    second_of_day: i64,
}

impl Civil {
    /// Of seconds since 1970. What is no number of seconds is, as in Prometheus, the end of the years that it can count.
    pub(crate) fn of(seconds: f64) -> Self {
        // 2^63.
        const END: f64 = 9_223_372_036_854_775_808.0;
        let is_seconds = (-END..END).contains(&seconds);
        let whole: i128 = if is_seconds { seconds as i128 } else { 1 << 63 };
        // Quotients by a day's length fit.
        let (days, second_of_day) = (whole.div_euclid(86_400) as i64, whole.rem_euclid(86_400) as i64);
        // Years that begin in March: the leap day is their last. 400 of them are an era of 146 097 days.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self { year, month, day, days, second_of_day }
    }

    pub(crate) fn year(&self) -> f64 {
        self.year as f64
    }

    pub(crate) fn month(&self) -> f64 {
        self.month as f64
    }

    pub(crate) fn day(&self) -> f64 {
        self.day as f64
    }

    pub(crate) fn hour(&self) -> f64 {
        (self.second_of_day / 3600) as f64
    }

    pub(crate) fn minute(&self) -> f64 {
        (self.second_of_day / 60 % 60) as f64
    }

    /// Sunday is 0.
    pub(crate) fn weekday(&self) -> f64 {
        (self.days + 4).rem_euclid(7) as f64
    }

    pub(crate) fn day_of_year(&self) -> f64 {
        let before: i64 = (1..self.month).map(|month| month_length(self.year, month)).sum();
        (before + self.day) as f64
    }

    pub(crate) fn days_in_month(&self) -> f64 {
        month_length(self.year, self.month) as f64
    }
}

fn month_length(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, year, month, day, hour, minute, weekday, day_of_year) in [
            (0.0, 1970, 1, 1, 0, 0, 4, 1),
            (951_827_696.0, 2000, 2, 29, 12, 34, 2, 60),
            (-1.0, 1969, 12, 31, 23, 59, 3, 365),
            (4_102_444_799.0, 2099, 12, 31, 23, 59, 4, 365),
        ] {
            let civil = Civil::of(seconds);
            let got =
                [civil.year(), civil.month(), civil.day(), civil.hour(), civil.minute(), civil.weekday()];
            assert_eq!(got.map(|part| part as i64), [year, month, day, hour, minute, weekday], "{seconds}");
            assert_eq!(civil.day_of_year() as i64, day_of_year);
        }
        assert_eq!(Civil::of(951_827_696.0).days_in_month() as i64, 29);
        assert_eq!(Civil::of(f64::NAN).year() as i64, 292_277_026_596);
    }
}
