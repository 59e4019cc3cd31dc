//! Models by name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::CustomLogic;
use super::axil_reg_access::AxilRegAccess;
use super::dram_dma::DramDma;
use super::dram_hbm_dma::DramHbmDma;
use super::hello_world::HelloWorld;

type Constructor = Arc<dyn Fn() -> Box<dyn CustomLogic> + Send + Sync>;

/// The models that images can name. Clones share the constructors.
#[derive(Clone, Default)]
pub struct ModelRegistry {
    models: BTreeMap<String, Constructor>,
}

impl ModelRegistry {
    /// A registry without models.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The public example designs: `cl_hello_world` and `cl_dram_dma` of F1, `cl_axil_reg_access`
    /// and `cl_dram_hbm_dma` of F2.
    pub fn builtin() -> Self {
        Self::empty()
            .with("cl_hello_world", || Box::new(HelloWorld::default()))
            .with("cl_dram_dma", || Box::new(DramDma::default()))
            .with("cl_axil_reg_access", || Box::new(AxilRegAccess::default()))
            .with("cl_dram_hbm_dma", || Box::new(DramHbmDma::default()))
    }

    /// The same with one more model. `make` is called at each load; a model of the same name is
    /// replaced.
    #[must_use]
    pub fn with(
        mut self,
        name: &str,
        make: impl Fn() -> Box<dyn CustomLogic> + Send + Sync + 'static,
    ) -> Self {
        self.models.insert(name.to_owned(), Arc::new(make));
        self
    }

    /// The names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    /// A new model of this name, as after a reset; `None` when there is none.
    pub fn build(&self, name: &str) -> Option<Box<dyn CustomLogic>> {
        self.models.get(name).map(|make| make())
    }
}

impl fmt::Debug for ModelRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.models.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_model_replaces_one_of_its_name() {
        let registry =
            ModelRegistry::builtin().with("cl_hello_world", || Box::new(DramDma::default()));
        assert!(registry.build("cl_hello_world").unwrap().has_memory());
        assert_eq!(registry.names().count(), 4);
        assert!(registry.build("cl_unknown").is_none());
    }
}
