//! The shell's cache of images: which ones load fast.

use afi_proto::AgfiId;

/// The images a slot used last (`hdk/docs/load_times.md`).
#[derive(Debug)]
pub(super) struct ImageCache {
    capacity: usize,
    /// Most recently used first.
    images: Vec<AgfiId>,
}

impl ImageCache {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            images: Vec::with_capacity(capacity),
        }
    }

    pub(super) fn contains(&self, image: AgfiId) -> bool {
        self.images.contains(&image)
    }

    /// Notes a use; what was not used for longest makes room.
    pub(super) fn touch(&mut self, image: AgfiId) {
        self.images.retain(|other| *other != image);
        self.images.insert(0, image);
        self.images.truncate(self.capacity);
    }

    pub(super) fn clear(&mut self) {
        self.images.clear();
    }

    /// Most recently used first.
    pub(super) fn images(&self) -> &[AgfiId] {
        &self.images
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut cache = ImageCache::new(2);
        let [a, b, c] = [1, 2, 3].map(AgfiId::from_cached);
        cache.touch(a);
        cache.touch(b);
        cache.touch(a);
        cache.touch(c);
        assert_eq!(cache.images(), [c, a]);
        assert!(!cache.contains(b));
    }
}
