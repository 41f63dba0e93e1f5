//! The end of a custom template: its image is removed once nothing waits for it any more.

use deckle_api::ids::TemplateId;

use super::store;
use crate::app::App;
use crate::error::Result;
use crate::machines;
use crate::reconciler::Next;

/// Removes the image of a deleted template.
///
/// Disks that were made from it keep it; a machine that was ordered before, and whose disk is not made yet, is
/// waited for: for as long as it takes, so not too often.
pub async fn visit(app: &App, id: &TemplateId) -> Result<Next> {
    let Some(row) = store::find_to_remove(app.store.read(), id).await? else { return Ok(Next::Never) };
    if machines::service::awaits_template(app.store.read(), id).await? {
        return Ok(Next::In(app.config.limits.pause_s_max * 1000));
    }
    if let Err(fault) = app.engine(&row.region)?.remove_template(id).await {
        tracing::warn!(template.id = %id, error = fault.told(), "a deleted template's image stays for now");
        return Ok(Next::In(app.config.limits.pause_s_max * 1000));
    }
    let tx = app.store.begin().await?;
    store::mark_gone(&*tx, id).await?;
    tx.commit().await?;
    Ok(Next::Never)
}
