//! Sizes of disks and drives.

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema, Type};

/// A gigabyte of the API, in bytes: 2^30 (a disk of 50 GB shows as 53687091200 bytes).
pub const GB: u64 = 1 << 30;

/// A size in gigabytes of 2^30 bytes. Any number is one on the wire; services take whole ones above 0.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct SizeGb(pub f64);

impl SizeGb {
    /// The whole number of gigabytes, if it is one from 1 on.
    pub fn whole(self) -> Option<u64> {
        let whole = self.0 >= 1.0 && self.0.fract() == 0.0 && self.0 < u32::MAX.into();
        whole.then_some(self.0 as u64)
    }
}

impl Serialize for SizeGb {
    /// A whole number is written without a fraction.
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.whole() {
            Some(whole) => to.serialize_u64(whole),
            None => to.serialize_f64(self.0),
        }
    }
}

impl utoipa::PartialSchema for SizeGb {
    fn schema() -> RefOr<Schema> {
        const USUAL: [u32; 10] = [50, 100, 250, 500, 1000, 2000, 4000, 8000, 12000, 16000];
        let number = || ObjectBuilder::new().schema_type(Type::Number);
        USUAL
            .into_iter()
            .fold(AnyOfBuilder::new(), |any, size| any.item(number().enum_values(Some([size]))))
            .item(number().exclusive_minimum(Some(0)))
            .into()
    }
}

impl utoipa::ToSchema for SizeGb {}
