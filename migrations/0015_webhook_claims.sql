-- Claims of webhooks have numbers, and a filter is told from none.

ALTER TABLE webhook_outbox ADD COLUMN claims integer NOT NULL DEFAULT 0;
ALTER TABLE webhook_outbox ADD COLUMN is_claimed boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN webhook_outbox.event IS '1 start, 2 output, 4 logs, 8 completed; 2 and 4 only when asked for again, or last because 8 is not wanted';
COMMENT ON COLUMN webhook_outbox.claims IS 'How often it was claimed: who settles it names the claim, and an older one changes nothing.';
COMMENT ON COLUMN webhook_outbox.is_claimed IS 'Until due_at somebody is sending it; else due_at is when it is to be sent.';
COMMENT ON COLUMN predictions.webhook_events IS 'Bits: 1 start, 2 output, 4 logs, 8 completed, 16 named by the caller';
