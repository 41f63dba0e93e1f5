//! The steps that are about templates of a machine's disk: one is made, or what was begun of it is removed.

use deckle_engine::Engine;
use deckle_engine::specs::CaptureSpec;

use super::super::store;
use super::Visit;
use super::acts::Acted;
use crate::custom_templates;
use crate::reconciler::Next;

impl Visit<'_> {
    /// Makes a template of the whole disk, which may take minutes, and writes down that its image is there. An
    /// order that comes meanwhile waits until the host has ended; what it gave up is then removed. While as many
    /// disks are copied as may be, it waits for its turn.
    pub(super) async fn make_template(&mut self, engine: &dyn Engine) -> Acted {
        let Some(template) = self.templates.make.take() else { return Ok(Ok(Next::Now)) };
        let Ok(_turn) = self.app.copies.try_acquire() else {
            return Ok(Ok(Next::In(self.app.config.limits.look_again_ms)));
        };
        let spec = CaptureSpec { template, machine: self.row.id.0.clone() };
        let seen = match engine.ensure_template_from(&spec).await {
            Ok(seen) => seen,
            Err(fault) => return Ok(Err(fault)),
        };
        let tx = self.app.store.begin().await?;
        if store::still_wanted(&*tx, &self.row).await? {
            custom_templates::service::made(&tx, &spec.template, seen.size_bytes).await?;
            tx.commit().await?;
        }
        Ok(Ok(Next::Now))
    }

    /// Removes what is there of a template that was given up, and forgets it. It is never wanted again.
    pub(super) async fn discard_template(&mut self, engine: &dyn Engine) -> Acted {
        let Some(template) = self.templates.discard.take() else { return Ok(Ok(Next::Now)) };
        if let Err(fault) = engine.remove_template(&template).await {
            return Ok(Err(fault));
        }
        let tx = self.app.store.begin().await?;
        custom_templates::service::discarded(&tx, &template).await?;
        tx.commit().await?;
        Ok(Ok(Next::Now))
    }
}
