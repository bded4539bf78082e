-- An exact name comes first in a search, however many names resemble it.

CREATE INDEX models_search_name ON models (name) WHERE deleted_at IS NULL;
CREATE INDEX models_search_exact ON models (search_title) WHERE deleted_at IS NULL;
