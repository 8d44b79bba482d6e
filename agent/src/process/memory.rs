//! How the C library hands out memory. Left alone, it gives each thread a heap of its own and learns from one large block,
//! such as the text of a scrape, to keep blocks of that size for ever: beside 300 containers, scraped every 15 s, that was 16 MiB more.

/// Larger blocks come from the kernel and go back to it at once, and so does what is free at a heap's end.
#[cfg(target_env = "gnu")]
const KEPT_AT_MOST: libc::c_int = 128 * 1024;

/// Asks for one heap that gives back what it does not need. To be called before other threads begin.
#[cfg(target_env = "gnu")]
pub(super) fn be_lean() {
    for (what, value) in [
        (libc::M_ARENA_MAX, 1),
        (libc::M_MMAP_THRESHOLD, KEPT_AT_MOST),
        (libc::M_TRIM_THRESHOLD, KEPT_AT_MOST),
    ] {
        #[expect(
            unsafe_code,
            reason = "the only way to these settings; the environment would hand them on to children"
        )]
        // SAFETY: `mallopt` takes two numbers, changes nothing but the allocator's own settings, and refuses what it does
        // not know by returning 0: then all stays as it was.
        let taken = unsafe { libc::mallopt(what, value) };
        if taken == 0 {
            tracing::debug!(what, "the allocator does not know this setting");
        }
    }
}

/// Other C libraries have no such settings.
#[cfg(not(target_env = "gnu"))]
pub(super) fn be_lean() {}
