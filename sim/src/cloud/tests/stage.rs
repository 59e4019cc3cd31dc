//! A cloud with a stepped clock, buckets and tarballs.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;
use crate::catalog::{AccountId, Catalog, SharedCatalog};
use crate::clock::Clock;
use crate::cloud::CloudTimes;
use crate::cloud::world::Bucket;
use crate::fault::FaultPlan;

pub(super) const CREATE: Duration = Duration::from_secs(1800);
pub(super) const COPY: Duration = Duration::from_secs(600);
pub(super) const MACHINE_IMAGE: Duration = Duration::from_secs(300);

/// A cloud whose time a test steps.
pub(super) struct Stage {
    pub(super) cloud: CloudServer,
    pub(super) catalog: SharedCatalog,
    pub(super) faults: Arc<FaultPlan>,
    clock: Clock,
    directory: TempDir,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self::in_directory(tempfile::tempdir().unwrap())
    }

    fn in_directory(directory: TempDir) -> Self {
        let catalog = SharedCatalog::new(Catalog::default());
        let clock = Clock::stepped();
        let faults = Arc::new(FaultPlan::none());
        let cloud = CloudServer::start(CloudConfig {
            catalog: catalog.clone(),
            clock: clock.clone(),
            faults: Arc::clone(&faults),
            epoch: SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000),
            times: CloudTimes {
                create: CREATE,
                copy: COPY,
                machine_image: MACHINE_IMAGE,
            },
            directory: Some(directory.path().to_owned()),
            ..CloudConfig::new(InstanceIdentity::simulated(Family::F1, 1))
        })
        .unwrap();
        Self {
            cloud,
            catalog,
            faults,
            clock,
            directory,
        }
    }

    /// The same cloud, started again; its clock is at zero again.
    pub(super) fn restart(self) -> Self {
        // The thread that checks tarballs may outlive the server by the one that it is at.
        self.step(Duration::ZERO);
        let Self {
            cloud, directory, ..
        } = self;
        drop(cloud);
        Self::in_directory(directory)
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn fault(&self, fault: &str) {
        self.faults.set(vec![fault.parse().unwrap()]);
    }

    /// Lets every tarball be checked, and moves the clock on.
    pub(super) fn step(&self, by: Duration) {
        assert!(self.cloud.wait_for_checks(PATIENCE));
        self.clock.step(by);
    }

    pub(super) fn bucket(&self, name: &str, region: &str, owner: AccountId) {
        let world = &self.cloud.world;
        let made = world.change(|change| {
            let bucket = Bucket {
                region: region.parse().unwrap(),
                owner,
                created: change.now,
            };
            change.state.buckets.insert(name.to_owned(), bucket);
            Ok(())
        });
        made.unwrap();
        fs::create_dir_all(world.objects().join(name)).unwrap();
    }

    /// Puts an object into the bucket `dcps` of the instance's account and region.
    pub(super) fn upload(&self, key: &str, contents: &[u8]) {
        self.bucket("dcps", "us-east-1", AccountId::SIMULATED);
        fs::write(self.cloud.world.objects().join("dcps").join(key), contents).unwrap();
    }

    pub(super) fn object(&self, key: &str) -> Option<Vec<u8>> {
        fs::read(self.cloud.world.objects().join("dcps").join(key)).ok()
    }

    pub(super) fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        self.call_in("us-east-1", action, parameters)
    }

    pub(super) fn call_in(
        &self,
        region: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Answer {
        let mut all = vec![("Action", action)];
        all.extend_from_slice(parameters);
        call_as(&self.cloud, KEY, region, &all)
    }

    /// Makes an image of a tarball that is uploaded first; its AFI and AGFI ids.
    pub(super) fn create(&self, tarball: &[u8], more: &[(&str, &str)]) -> (String, String) {
        self.upload("in.tar", tarball);
        let mut parameters = vec![
            ("InputStorageLocation.Bucket", "dcps"),
            ("InputStorageLocation.Key", "in.tar"),
        ];
        parameters.extend_from_slice(more);
        let made = self.call("CreateFpgaImage", &parameters);
        assert_eq!(made.status, 200, "{}", made.body);
        (made.one("fpgaImageId"), made.one("fpgaImageGlobalId"))
    }

    /// State and message of an image.
    pub(super) fn state(&self, region: &str, afi: &str) -> (String, String) {
        let seen = self.call_in(region, "DescribeFpgaImages", &[("FpgaImageId.1", afi)]);
        assert_eq!(seen.status, 200, "{}", seen.body);
        let state = seen.one("state");
        let code = state.split("</code>").next().unwrap();
        let message = state.split("<message>").nth(1).unwrap_or_default();
        (
            code.replace("<code>", ""),
            message.replace("</message>", ""),
        )
    }
}

/// The PCI ids of a manifest: vendor, device, subsystem vendor, subsystem.
pub(super) const HELLO_IDS: [&str; 4] = ["0x1D0F", "0xF000", "0xFEDD", "0x1D51"];

/// What the build scripts make, with these ids and this clock recipe.
pub(super) fn tarball(ids: [&str; 4], recipe: &str) -> Vec<u8> {
    let checkpoint = checkpoint();
    let hash: String = Sha256::digest(&checkpoint)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let [vendor, device, subsystem_vendor, subsystem] = ids;
    let manifest = format!(
        "manifest_format_version=2\npci_vendor_id={vendor}\npci_device_id={device}\n\
         pci_subsystem_id={subsystem}\npci_subsystem_vendor_id={subsystem_vendor}\n\
         dcp_hash={hash}\nshell_version=0x04261818\ndcp_file_name=cl.SH_CL_routed.dcp\n\
         tool_version=v2021.2\nclock_recipe_a={recipe}\nclock_recipe_b=B0\nclock_recipe_c=C0\n"
    );
    let mut archive = tar::Builder::new(Vec::new());
    for (name, contents) in [
        ("to_aws/cl.SH_CL_routed.dcp", checkpoint.as_slice()),
        ("to_aws/cl.manifest.txt", manifest.as_bytes()),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, contents).unwrap();
    }
    archive.into_inner().unwrap()
}

/// A zip file with an encrypted netlist, not packed.
fn checkpoint() -> Vec<u8> {
    let mut noise = vec![0; 5000];
    ChaCha8Rng::seed_from_u64(1).fill_bytes(&mut noise);
    let files: [(&str, &[u8]); 3] = [
        ("dcp.xml", b"<Design part=\"xcvu9p\"/>"),
        ("top.edf", b"XlxV64EB    fa00"),
        ("top.xdef", &noise),
    ];
    let (mut zip, mut table) = (Vec::new(), Vec::new());
    for (name, contents) in files {
        // APPNOTE.TXT, 4.3.7: version, flags, method (stored), time, date, CRC, sizes, lengths.
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for _ in ["compressed", "uncompressed"] {
            common.extend((contents.len() as u32).to_le_bytes());
        }
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        table.extend(b"PK\x01\x02\x14\0");
        table.extend(&common);
        table.extend([0; 10]);
        table.extend((zip.len() as u32).to_le_bytes());
        table.extend(name.as_bytes());
        zip.extend(b"PK\x03\x04");
        zip.extend(&common);
        zip.extend(name.as_bytes());
        zip.extend(contents);
    }
    let at = zip.len() as u32;
    zip.extend(&table);
    zip.extend(b"PK\x05\x06\0\0\0\0\x03\0\x03\0");
    zip.extend((table.len() as u32).to_le_bytes());
    zip.extend(at.to_le_bytes());
    zip.extend([0, 0]);
    zip
}
