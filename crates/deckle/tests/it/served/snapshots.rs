//! Snapshots, on a server.

#[test]
fn a_snapshot_is_taken_gone_back_to_and_deleted() {
    let (mut world, _server) = super::world("served_snapshots");
    let [id] = world.make("machine create --name x --template t0nspur5 --no-start", ["ps"]);
    let [good] = world.make(&format!("snapshot create --name good --machine-id {id}"), ["sl"]);
    world.run(&format!("snapshot list --machine-id {id}"));
    world.run(&format!("snapshot rename {good} best"));
    world.run(&format!("snapshot get {good} -o json"));
    world.run(&format!("snapshot restore {good}"));
    world.run(&format!("snapshot restore {good} --yes"));
    world.run(&format!("snapshot delete {good} --yes"));
    world.run(&format!("snapshot delete {good} --yes"));
    world.run(&format!("snapshot create --name good --machine-id {good}"));
    world.run("snapshot list -o json");
}
