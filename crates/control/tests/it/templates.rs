//! Templates: taken in by an operator, used by everyone.

use deckle_engine::Engine;
use deckle_engine::emulator::{Call, Fault};
use serde_json::{Value, json};

use crate::broken_host::order;
use crate::world::World;

/// An image file with these bytes.
fn image(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

pub fn qcow2(backing: u8, size_gib: u64) -> Vec<u8> {
    let mut head = vec![0; 104];
    head[..4].copy_from_slice(b"QFI\xfb");
    head[7] = 3;
    head[15] = backing;
    head[24..32].copy_from_slice(&(size_gib << 30).to_be_bytes());
    head
}

async fn names(world: &World) -> Vec<String> {
    let list = world.ok("GET /v1/os-templates?order=asc", Value::Null).await;
    list["items"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_imported_template_makes_machines() {
    let world = World::new().await;
    let file = image(&qcow2(0, 5));
    let body = json!({"file": file.path(), "name": "Debian 12", "id": "tdebian"});
    let made = world.admin("POST /admin/templates", body.clone()).await;
    assert_eq!((made.status, &made.body["sizeBytes"]), (200, &json!(5u64 << 30)), "{}", made.body);
    assert_eq!(names(&world).await, ["Debian 12", "Ubuntu 22.04"]);
    let small = crate::world::machine(json!({"templateId": "tdebian", "diskSize": 4}));
    assert!(
        world
            .call("POST /v1/machines", small)
            .await
            .error()
            .2
            .starts_with("diskSize: expected a whole number of GB from 5")
    );
    world.ok("POST /v1/machines", crate::world::machine(json!({"templateId": "tdebian"}))).await;
    let again = world.admin("POST /admin/templates", body).await;
    assert_eq!((again.error().1, &again.error().2[..16]), ("CONFLICT", "id: the id tdebi"));
}

#[tokio::test]
async fn an_image_that_cannot_serve_is_refused_and_leaves_nothing() {
    let world = World::new().await;
    let before = (names(&world).await, world.host.dump());
    for (bytes, told) in [
        (Vec::new(), "the image is empty"),
        (qcow2(104, 5), "names a backing file"),
        (qcow2(0, 501), "more than are taken"),
        (qcow2(0, 5)[..30].to_vec(), "cannot be read"),
    ] {
        let file = image(&bytes);
        let reply = world.admin("POST /admin/templates", json!({"file": file.path(), "name": "x"})).await;
        assert_eq!(reply.error().1, "PRECONDITION_FAILED");
        assert!(reply.error().2.contains(told), "{}", reply.body);
    }
    for (body, told) in [
        (json!({"file": "/nowhere/image", "name": "x"}), "file: cannot be opened"),
        (json!({"file": "/dev/null", "name": ""}), "name: expected"),
        (json!({"file": "/dev/null", "name": "x", "id": "ps1"}), "id: expected the id of a template"),
        (json!({"name": "x"}), "file: is required"),
    ] {
        let reply = world.admin("POST /admin/templates", body).await;
        assert_eq!((reply.status, &reply.error().2[..told.len()]), (400, told));
    }
    assert_eq!((names(&world).await, world.host.dump()), before);
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM templates").await, 1);
}

#[tokio::test]
async fn machines_keep_working_without_their_template() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    assert_eq!(world.admin("DELETE /admin/templates/t0nspur5", Value::Null).await.status, 200);
    assert_eq!((names(&world).await.len(), world.host.dump().contains("templates: none")), (0, true));
    order(&world, "restart", &id).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "restart done".into()));
    let reply = world.call("POST /v1/machines", crate::world::machine(json!({}))).await;
    assert_eq!(reply.error().1, "NOT_FOUND");
    assert_eq!(world.admin("DELETE /admin/templates/t0nspur5", Value::Null).await.error().1, "NOT_FOUND");
}

#[tokio::test]
async fn a_template_whose_image_stays_can_be_deleted_again() {
    let mut world = World::new().await;
    world.host.fail_always(Some((Call::RemoveTemplate, Fault::Passing)));
    assert_eq!(world.admin("DELETE /admin/templates/t0nspur5", Value::Null).await.status, 500);
    assert_eq!(names(&world).await.len(), 0);
    world.restart_server().await;
    world.host.fail_always(None);
    assert_eq!(world.admin("DELETE /admin/templates/t0nspur5", Value::Null).await.status, 200);
    assert!(world.host.dump().contains("templates: none"));
    assert_eq!(world.admin("DELETE /admin/templates/t0nspur5", Value::Null).await.status, 404);
}

#[tokio::test]
async fn what_an_import_left_is_cleared_at_the_next_start() {
    let mut world = World::new().await;
    let file = image(b"raw");
    world.host.fail_always(Some((Call::RemoveTemplate, Fault::Passing)));
    world.host.fail_at(Some(deckle_engine::emulator::Fuse::After(Call::EnsureTemplate)));
    let reply = world.admin("POST /admin/templates", json!({"file": file.path(), "name": "x"})).await;
    assert_eq!(reply.status, 500);
    world.restart_server().await;
    assert_eq!(world.call("GET /v1/health", Value::Null).await.status, 200, "a start is not held up");
    world.host.fail_always(None);
    assert_eq!(world.host.look_things().await.unwrap().len(), 2);
    world.restart_server().await;
    assert_eq!(world.host.look_things().await.unwrap().len(), 1);
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM templates").await, 1);
    assert_eq!(world.admin("GET /admin/leaks", Value::Null).await.body, json!([]));
}

#[tokio::test]
async fn the_public_list_looks_at_its_host_once() {
    let world = World::new().await;
    let made = || {
        world
            .host
            .calls()
            .into_iter()
            .find(|(call, _)| *call == Call::LookCapacity)
            .map_or(0, |(_, made)| made)
    };
    let before = made();
    names(&world).await;
    assert!(made() - before <= 3, "{}", made() - before);
}
