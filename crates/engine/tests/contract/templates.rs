//! Promises on templates.

use deckle_api::ids::TemplateId;
use deckle_engine::Result;
use deckle_engine::seen::TemplateSeen;
use deckle_engine::specs::{DiskSpec, TemplateSpec};

use super::case::{assert_final, template_id, things_of};
use super::{Case, GIB, Host};

pub async fn a_template_is_taken_in_once_and_removed_whole(host: &Host) {
    let id = template_id();
    assert_eq!(host.engine.look_template(&id).await.unwrap(), None);
    let first = take_in(host, &id).await.unwrap();
    let second = take_in(host, &id).await.unwrap();
    assert_eq!(first.size_bytes, second.size_bytes);
    assert!(first.size_bytes > 0, "{first:?}");
    let seen = host.engine.look_template(&id).await.unwrap().expect("it was taken in");
    assert_eq!(seen.size_bytes, first.size_bytes);
    assert!(!things_of(host, id.as_str()).await.is_empty());
    remove(host, &id).await;
}

pub async fn an_image_that_names_another_file_is_refused(host: &Host) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backed.qcow2");
    std::fs::write(&file, backed_by("/etc/hostname")).unwrap();
    let id = template_id();
    let spec = TemplateSpec { id: id.clone(), file, size_bytes_max: 64 * GIB };
    for _ in 0..2 {
        assert_final(host.engine.ensure_template(&spec).await);
    }
    assert_eq!(host.engine.look_template(&id).await.unwrap(), None);
    assert_eq!(things_of(host, id.as_str()).await, []);
}

pub async fn an_image_that_is_too_large_is_refused(host: &Host) {
    let id = template_id();
    let spec = TemplateSpec { id: id.clone(), file: host.image.clone(), size_bytes_max: 1 };
    assert_final(host.engine.ensure_template(&spec).await);
    assert_eq!(host.engine.look_template(&id).await.unwrap(), None);
    assert_eq!(things_of(host, id.as_str()).await, []);
}

pub async fn a_disk_outlives_its_template(host: &Host) {
    let id = template_id();
    take_in(host, &id).await.unwrap();
    let case = Case::new(host);
    let disk = case.disk_spec_on(&id).await;
    host.engine.ensure_disk(&disk).await.unwrap();
    remove(host, &id).await;
    let grown = DiskSpec { size_bytes: disk.size_bytes + GIB, ..disk };
    host.engine.ensure_disk(&grown).await.unwrap();
    assert_eq!(case.seen().await.disk.map(|disk| disk.size_bytes), Some(grown.size_bytes));
    case.plug().await;
    host.engine.power_on(&case.boot_spec(1)).await.unwrap();
    case.clear().await;
}

async fn take_in(host: &Host, id: &TemplateId) -> Result<TemplateSeen> {
    let spec = TemplateSpec { id: id.clone(), file: host.image.clone(), size_bytes_max: 64 * GIB };
    host.engine.ensure_template(&spec).await
}

async fn remove(host: &Host, id: &TemplateId) {
    for _ in 0..2 {
        host.engine.remove_template(id).await.unwrap();
        assert_eq!(host.engine.look_template(id).await.unwrap(), None);
    }
    assert_eq!(things_of(host, id.as_str()).await, []);
}

/// The head of a qcow2 file, version 3, that names a backing file.
fn backed_by(name: &str) -> Vec<u8> {
    const NAME_AT: usize = 112;
    let mut head = vec![0; 64 << 10];
    let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"QFI\xfb");
    put(4, &3u32.to_be_bytes());
    put(8, &(NAME_AT as u64).to_be_bytes());
    put(16, &(name.len() as u32).to_be_bytes());
    put(20, &16u32.to_be_bytes());
    put(24, &GIB.to_be_bytes());
    put(96, &4u32.to_be_bytes());
    put(100, &104u32.to_be_bytes());
    put(NAME_AT, name.as_bytes());
    head
}
