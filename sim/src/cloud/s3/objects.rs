//! The operations: buckets are the world's, objects the file system's.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use s3s::dto::*;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;

use super::access::check_key;
use crate::catalog::{AccountId, Region};
use crate::cloud::auth::account_of_key;
use crate::cloud::error::ApiError;
use crate::cloud::world::{Bucket as BucketRecord, World};

/// The region whose buckets have no location constraint.
const FIRST_REGION: &str = "us-east-1";

/// The store.
pub(super) struct Objects {
    files: FileSystem,
    world: Arc<World>,
}

impl Objects {
    pub(super) fn open(world: Arc<World>) -> io::Result<Self> {
        let folder = world.objects();
        std::fs::create_dir_all(folder)?;
        let files = FileSystem::new(folder)
            .map_err(|error| io::Error::other(format!("{}: {error:?}", folder.display())))?;
        Ok(Self { files, world })
    }
}

/// What `async_trait` makes of an operation's type.
type Answer<'a, T> = Pin<Box<dyn Future<Output = S3Result<S3Response<T>>> + Send + 'a>>;

/// Operations that the file system does alone, in the form that `async_trait` gives to others.
macro_rules! by_files {
    ($($operation:ident: $input:ident => $output:ident;)*) => {
        $(
            fn $operation<'life0, 'async_trait>(
                &'life0 self,
                request: S3Request<$input>,
            ) -> Answer<'async_trait, $output>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                self.files.$operation(request)
            }
        )*
    };
}

#[async_trait::async_trait]
impl S3 for Objects {
    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let owner = account_of(&request)?;
        let signed_for = request
            .region
            .as_ref()
            .map(|region| region.as_str().to_owned());
        let constraint = request.input.create_bucket_configuration.as_ref();
        let constraint = constraint.and_then(|settings| settings.location_constraint.as_ref());
        let constraint = constraint.map(|constraint| constraint.as_str().to_owned());
        let region = place(signed_for.as_deref(), constraint.as_deref())?;
        let name = request.input.bucket.clone();
        if let Some(known) = self.world.state().buckets.get(&name) {
            return Err(if known.owner == owner {
                s3_error!(
                    BucketAlreadyOwnedByYou,
                    "Your previous request to create the named bucket succeeded and you already own it."
                )
            } else {
                s3_error!(
                    BucketAlreadyExists,
                    "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again."
                )
            });
        }
        // A folder without a record is one that a crash left.
        let folder = self.world.objects().join(&name);
        std::fs::create_dir_all(folder).map_err(S3Error::internal_error)?;
        let location = format!("/{name}");
        let changed = self.world.change(|change| {
            let created = change.now;
            let record = BucketRecord {
                region,
                owner,
                created,
            };
            change.state.buckets.insert(name, record);
            Ok(())
        });
        changed.map_err(unsaved)?;
        Ok(S3Response::new(CreateBucketOutput {
            location: Some(location),
        }))
    }

    async fn delete_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let name = request.input.bucket.clone();
        let folder = self.world.objects().join(&name);
        if has_file(&folder).map_err(S3Error::internal_error)? {
            return Err(s3_error!(
                BucketNotEmpty,
                "The bucket you tried to delete is not empty"
            ));
        }
        let response = self.files.delete_bucket(request).await?;
        let changed = self.world.change(|change| {
            change.state.buckets.remove(&name);
            Ok(())
        });
        changed.map_err(unsaved)?;
        Ok(response)
    }

    async fn list_buckets(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let account = account_of(&request)?;
        let prefix = request.input.prefix.clone().unwrap_or_default();
        let wanted_region = request.input.bucket_region.clone();
        let state = self.world.state();
        let owned = state.buckets.iter().filter(|(name, bucket)| {
            bucket.owner == account
                && name.starts_with(&prefix)
                && wanted_region
                    .as_ref()
                    .is_none_or(|wanted| wanted.as_str() == bucket.region.as_str())
        });
        let buckets = owned.map(|(name, bucket)| Bucket {
            name: Some(name.clone()),
            creation_date: Some(Timestamp::from(SystemTime::from(bucket.created))),
            bucket_region: Some(bucket.region.to_string()),
        });
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(buckets.collect()),
            owner: Some(Owner {
                display_name: None,
                id: Some(account.to_string()),
            }),
            ..ListBucketsOutput::default()
        }))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        let region = self.region_of(&request.input.bucket)?;
        let named = region.as_str() != FIRST_REGION;
        Ok(S3Response::new(GetBucketLocationOutput {
            location_constraint: named.then(|| region.to_string().into()),
        }))
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        let region = self.region_of(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput {
            bucket_region: Some(region.to_string()),
            ..HeadBucketOutput::default()
        }))
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        self.may_read(account_of(&request)?, &request.input.copy_source)?;
        self.files.copy_object(request).await
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        self.may_read(account_of(&request)?, &request.input.copy_source)?;
        self.files.upload_part_copy(request).await
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let got = self.files.get_object(request).await;
        got.map_err(|mut error| {
            if *error.code() == S3ErrorCode::NoSuchKey {
                error.set_message("The specified key does not exist.");
            }
            error
        })
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        for object in &request.input.delete.objects {
            check_key(&object.key)?;
        }
        self.files.delete_objects(request).await
    }

    async fn list_parts(
        &self,
        request: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        let mut response = self.files.list_parts(request).await?;
        // The file system lists them in the order of its directory.
        if let Some(parts) = &mut response.output.parts {
            parts.sort_by_key(|part| part.part_number);
        }
        Ok(response)
    }

    by_files! {
        head_object: HeadObjectInput => HeadObjectOutput;
        put_object: PutObjectInput => PutObjectOutput;
        delete_object: DeleteObjectInput => DeleteObjectOutput;
        list_objects: ListObjectsInput => ListObjectsOutput;
        list_objects_v2: ListObjectsV2Input => ListObjectsV2Output;
        create_multipart_upload: CreateMultipartUploadInput => CreateMultipartUploadOutput;
        upload_part: UploadPartInput => UploadPartOutput;
        complete_multipart_upload: CompleteMultipartUploadInput => CompleteMultipartUploadOutput;
        abort_multipart_upload: AbortMultipartUploadInput => AbortMultipartUploadOutput;
    }
}

impl Objects {
    fn region_of(&self, bucket: &str) -> S3Result<Region> {
        let state = self.world.state();
        let known = state.buckets.get(bucket);
        known
            .map(|known| known.region.clone())
            .ok_or_else(|| s3_error!(NoSuchBucket))
    }

    /// The source of a copy has to be the caller's too.
    fn may_read(&self, account: AccountId, source: &CopySource) -> S3Result<()> {
        let CopySource::Bucket { bucket, key, .. } = source else {
            return Err(s3_error!(NotImplemented));
        };
        check_key(key)?;
        match self.world.state().buckets.get(&**bucket) {
            None => Err(s3_error!(NoSuchBucket)),
            Some(known) if known.owner != account => Err(s3_error!(AccessDenied, "Access Denied")),
            Some(_) => Ok(()),
        }
    }
}

fn account_of<T>(request: &S3Request<T>) -> S3Result<AccountId> {
    let credentials = request.credentials.as_ref();
    credentials
        .and_then(|credentials| account_of_key(&credentials.access_key))
        .ok_or_else(|| s3_error!(AccessDenied, "Access Denied"))
}

/// The region of a new bucket. The first region has no constraint, and takes any; the others want
/// their own (API Reference, CreateBucket).
fn place(signed_for: Option<&str>, constraint: Option<&str>) -> S3Result<Region> {
    let here = signed_for.unwrap_or(FIRST_REGION);
    let wrong = |named: &str| {
        S3Error::with_message(
            S3ErrorCode::IllegalLocationConstraintException,
            format!(
                "The {named} location constraint is incompatible for the region specific endpoint this request was sent to."
            ),
        )
    };
    let region = match constraint.filter(|constraint| !constraint.is_empty()) {
        None if here == FIRST_REGION => here,
        None => return Err(wrong("unspecified")),
        Some(constraint) if here == FIRST_REGION || constraint == here => constraint,
        Some(constraint) => return Err(wrong(constraint)),
    };
    let known = region.parse();
    known.map_err(|_| {
        s3_error!(
            InvalidLocationConstraint,
            "The specified location-constraint is not valid"
        )
    })
}

fn unsaved(error: ApiError) -> S3Error {
    s3_error!(InternalError, "{}", error.message)
}

/// Whether there is an object below a folder. Empty folders are what deleted objects leave.
fn has_file(folder: &std::path::Path) -> io::Result<bool> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                return Ok(true);
            }
            folders.push(entry.path());
        }
    }
    Ok(false)
}
