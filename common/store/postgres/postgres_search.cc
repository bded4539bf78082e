// The part of PostgresStore that finds models and describes what is found.

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <map>

#include "common/store/facts_budget.h"
#include "common/store/postgres/catalog_rows.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/example_rows.h"
#include "common/store/postgres/postgres_store.h"
#include "common/store/postgres/row_lists.h"
#include "common/store/postgres/statements_discovery.h"
#include "common/store/postgres/statements_examples.h"
#include "common/store/search_words.h"
#include "common/store/text.h"

namespace mimeo::store {
namespace {

// Shorter ones are in too many places, and no trigram of theirs is in the index.
constexpr std::size_t kShortestPart = 3;
constexpr std::size_t kLongestTitle = 200;

// Indexes of words and trigrams are read by bitmap scans, which our sessions leave off; and each
// search has its own plan.
constexpr const char* kSearchSettings =
    "SET LOCAL enable_bitmapscan = on; SET LOCAL plan_cache_mode = auto";

// The text and values of one search.
class SearchText {
 public:
  SearchText(const ModelSearch& search, const std::vector<std::string>& words) {
    std::string title =
        absl::AsciiStrToLower(absl::StripAsciiWhitespace(sanitize_text(search.text)));
    if (title.size() > kLongestTitle) title = sanitize_text(title.substr(0, kLongestTitle));
    title_ = bind(std::move(title), "text");
    words_ = bind(tsquery(words), "text");
    visible_ = "deleted_at IS NULL AND (visibility = 0";
    if (search.include_private && search.viewer != 0) {
      absl::StrAppend(&visible_, " OR owner_id = ", bind(std::to_string(search.viewer), "bigint"));
    }
    visible_ += ")";
    by_title_ = absl::StrCat("search_title <->> ", title_, ", id");
    add_candidates(absl::StrCat("(name = ", title_, " OR search_title = ", title_, ")"), "id DESC");
    add_candidates(absl::StrCat("search_words @@ ", both(words_)), "");
    add_candidates(absl::StrCat("search_title %> ", title_), by_title_);
    add_title_parts(words);
  }

  [[nodiscard]] std::string text(const ModelSearch& search) {
    const bool is_backward = search.start && search.start->is_backward;
    std::string where;
    if (search.start) {
      where = absl::StrCat(" WHERE (score, id) ", is_backward ? ">" : "<", " (",
                           bind(absl::StrCat(absl::SixDigits(search.start->score)), "float8"), ", ",
                           bind(std::to_string(search.start->id), "bigint"), ")");
    }
    const char* order = is_backward ? "score, id" : "score DESC, id DESC";
    return absl::StrCat(
        "WITH candidates AS (", candidates_,
        "), scored AS (SELECT c.id, CASE WHEN m.name = ", title_, " OR m.search_title = ", title_,
        " THEN 1.0::float8 ELSE round(least(0.99, 0.6 * word_similarity(", title_,
        ", m.search_title) + 0.4 * ts_rank('{0.1,0.2,0.4,1}', m.search_words, ", both(words_),
        "))::numeric, 4)::float8 END AS score FROM candidates AS c JOIN models AS m ON m.id = "
        "c.id)",
        " SELECT id, score FROM scored", where, " ORDER BY ", order, " LIMIT ", search.limit);
  }
  [[nodiscard]] const std::vector<std::string>& values() const { return values_; }

 private:
  std::string bind(std::string value, const char* type) {
    values_.push_back(std::move(value));
    return absl::StrCat("$", values_.size(), "::", type);
  }
  // Words as they are, and their stems.
  static std::string both(const std::string& words) {
    return absl::StrCat("(to_tsquery('simple', ", words, ") || to_tsquery('english', ", words,
                        "))");
  }
  static std::string tsquery(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) {
      absl::StrAppend(&text, text.empty() ? "'" : " & '", word,
                      word.size() < kShortestPart ? "'" : "':*");
    }
    return text;
  }
  // In no order those that are found first: ranking all models with a common word would read all of
  // their words. The best of these are among those by title.
  void add_candidates(const std::string& condition, const std::string& order) {
    absl::StrAppend(&candidates_, candidates_.empty() ? "" : " UNION ", "(SELECT id FROM models ",
                    "WHERE ", visible_, " AND ", condition, order.empty() ? "" : " ORDER BY ",
                    order, " LIMIT ", kSearchCandidates, ")");
  }
  // Every word is somewhere in the title.
  void add_title_parts(const std::vector<std::string>& words) {
    const bool has_index = std::any_of(words.begin(), words.end(), [](const std::string& word) {
      return word.size() >= kShortestPart;
    });
    if (!has_index) return;
    std::string condition;
    for (const std::string& word : words) {
      absl::StrAppend(&condition, condition.empty() ? "" : " AND ", "search_title LIKE ",
                      bind("%" + word + "%", "text"));
    }
    add_candidates(condition, by_title_);
  }

  std::vector<std::string> values_;
  std::string title_;
  std::string words_;
  std::string visible_;
  std::string by_title_;
  std::string candidates_;
};

// Before it is known what of it is read.
struct SizedFacts {
  ModelFacts facts;
  std::size_t version_bytes = 0;
  std::size_t example_bytes = 0;
};

// Models by id, in the order of `ids`. Those deleted meanwhile are missing.
std::vector<Model> models_in_order(Connection& connection, const std::vector<ModelId>& ids) {
  std::map<ModelId, Model> found;
  for (Model& model : read_all(connection.run(kModelsByIds, sql_numbers(ids)), read_model)) {
    const ModelId id = model.id;
    found.emplace(id, std::move(model));
  }
  std::vector<Model> models;
  for (const ModelId id : ids) {
    if (const auto it = found.find(id); it != found.end()) models.push_back(it->second);
  }
  return models;
}

}  // namespace

Result<std::vector<SearchHit>> PostgresStore::search_models(const ModelSearch& search) {
  using Answer = Result<std::vector<SearchHit>>;
  const std::vector<std::string> words = search_words(search.text, kMaxSearchWords);
  if (words.empty()) return std::vector<SearchHit>();
  return pool_->with("searching models", [&](Connection& connection) -> Answer {
    SearchText query(search, words);
    const std::string text = query.text(search);
    std::vector<ModelId> ids;
    std::map<ModelId, double> scores;
    {
      pqxx::work transaction(connection.raw());
      transaction.exec(kSearchSettings);
      for (const pqxx::row& row :
           transaction.exec_params(text, pqxx::prepare::make_dynamic_params(query.values()))) {
        RowReader reader(row);
        ids.push_back(reader.integer());
        scores[ids.back()] = reader.real();
      }
    }
    if (search.start && search.start->is_backward) std::reverse(ids.begin(), ids.end());
    std::vector<SearchHit> hits;
    for (Model& model : models_in_order(connection, ids)) {
      const double score = scores[model.id];
      hits.push_back({std::move(model), score});
    }
    return hits;
  });
}

Result<std::vector<ModelFacts>> PostgresStore::describe_models(std::span<const ModelId> ids,
                                                               const FactsBounds& bounds) {
  using Answer = Result<std::vector<ModelFacts>>;
  if (ids.empty()) return std::vector<ModelFacts>();
  return pool_->with("describing models", [&](Connection& connection) -> Answer {
    std::map<ModelId, SizedFacts> found;
    for (const pqxx::row& row : connection.run(kModelFacts, sql_numbers(ids))) {
      RowReader reader(row);
      SizedFacts& sized = found[reader.integer()];
      sized.facts.is_official = reader.boolean();
      sized.facts.tags = absl::StrSplit(reader.text(), ' ', absl::SkipEmpty());
      sized.version_bytes = reader.integer_as<std::size_t>();
      sized.example_bytes = reader.integer_as<std::size_t>();
    }
    std::vector<ModelId> with_version, with_example;
    FactsBudget budget(bounds);
    for (const ModelId id : ids) {
      SizedFacts& sized = found[id];
      const FactsBudget::Share share = budget.next(sized.version_bytes, sized.example_bytes);
      sized.facts.is_cut = share.is_cut;
      if (share.has_version && sized.version_bytes > 0) with_version.push_back(id);
      if (share.has_example && sized.example_bytes > 0) with_example.push_back(id);
    }
    for (Version& version :
         read_all(connection.run(kLatestVersions, sql_numbers(with_version)), read_version)) {
      const ModelId model = version.model;
      found[model].facts.latest = std::move(version);
    }
    for (Example& example :
         read_all(connection.run(kDefaultExamples, sql_numbers(with_example)), read_example)) {
      const ModelId model = example.model;
      found[model].facts.default_example = std::move(example);
    }
    std::vector<ModelFacts> facts;
    for (const ModelId id : ids) facts.push_back(std::move(found[id].facts));
    return facts;
  });
}

Result<bool> PostgresStore::is_official(ModelId id) {
  return pool_->with("reading a model", [&](Connection& connection) -> Result<bool> {
    const pqxx::result rows = connection.run(kIsOfficial, id);
    return !rows.empty() && rows[0][0].as<bool>();
  });
}

Status PostgresStore::set_official(ModelId id, bool is_official) {
  return pool_->with("changing a model", [&](Connection& connection) -> Status {
    const bool is_found = connection.run(kSetOfficial, id, is_official).affected_rows() > 0;
    return is_found ? absl::OkStatus() : absl::NotFoundError("no such model");
  });
}

Result<std::int64_t> PostgresStore::count_models(AccountId owner) {
  return pool_->with("counting models", [&](Connection& connection) -> Result<std::int64_t> {
    return connection.run(kCountModels, owner)[0][0].as<std::int64_t>();
  });
}

}  // namespace mimeo::store
