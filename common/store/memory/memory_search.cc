// How MemoryDiscovery decides what a search finds: the same rules as the statement in Postgres,
// with stems that are cut by hand and similarity of whole words.

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "common/store/memory/memory_discovery.h"
#include "common/store/search_words.h"

namespace mimeo::store {
namespace {

constexpr std::size_t kShortestPart = 3;
constexpr double kSimilar = 0.6;
constexpr std::size_t kAllWords = 100'000;

// English, roughly.
std::string stem(std::string word) {
  for (const std::string_view ending : {"ing", "es", "ed", "s"}) {
    if (word.size() > ending.size() + 2 && word.ends_with(ending)) {
      word.resize(word.size() - ending.size());
      break;
    }
  }
  return word;
}

bool fits(const std::string& wanted, const std::string& word) {
  if (wanted.size() < kShortestPart) return word == wanted;
  return word.starts_with(wanted) || stem(word).starts_with(stem(wanted));
}

bool is_in(const std::string& wanted, const std::vector<std::string>& words) {
  return std::any_of(words.begin(), words.end(),
                     [&](const std::string& word) { return fits(wanted, word); });
}

using Trigrams = std::set<std::string>;

Trigrams trigrams_of(const std::string& word) {
  const std::string padded = "  " + word + " ";
  Trigrams trigrams;
  for (std::size_t i = 0; i + 3 <= padded.size(); ++i) trigrams.insert(padded.substr(i, 3));
  return trigrams;
}

Trigrams trigrams_of(const std::vector<std::string>& words) {
  Trigrams all;
  for (const std::string& word : words) all.merge(trigrams_of(word));
  return all;
}

// Of the text with the best run of words in the title.
double similarity(const std::vector<std::string>& text, const std::vector<std::string>& title) {
  const Trigrams wanted = trigrams_of(text);
  double best = 0;
  for (std::size_t first = 0; first < title.size(); ++first) {
    Trigrams run;
    for (std::size_t last = first; last < title.size(); ++last) {
      run.merge(trigrams_of(title[last]));
      const auto common = static_cast<double>(
          std::count_if(run.begin(), run.end(), [&](const auto& t) { return wanted.contains(t); }));
      const auto either = static_cast<double>(wanted.size() + run.size()) - common;
      best = std::max(best, common / either);
    }
  }
  return best;
}

}  // namespace

std::optional<double> search_score(const std::string& text, const Model& model) {
  const std::vector<std::string> wanted = search_words(text, kMaxSearchWords);
  if (wanted.empty()) return std::nullopt;
  const std::string title = absl::StrCat(model.owner, "/", model.name);
  const std::string lower = absl::AsciiStrToLower(absl::StripAsciiWhitespace(text));
  if (lower == title || lower == model.name) return 1.0;
  const std::vector<std::string> title_words = search_words(title, kAllWords);
  const std::vector<std::string> words =
      search_words(absl::StrCat(title, " ", model.description, " ", model.readme), kAllWords);
  const auto all = [&](const auto& holds) {
    return std::all_of(wanted.begin(), wanted.end(), holds);
  };
  const bool is_word_hit = all([&](const std::string& word) { return is_in(word, words); });
  const bool has_part = std::any_of(wanted.begin(), wanted.end(), [](const std::string& word) {
    return word.size() >= kShortestPart;
  });
  const bool is_title_hit =
      has_part && all([&](const std::string& word) { return title.find(word) != title.npos; });
  const double similar = similarity(wanted, title_words);
  if (!is_word_hit && !is_title_hit && similar < kSimilar) return std::nullopt;
  const auto share = [&](const std::vector<std::string>& in) {
    return static_cast<double>(std::count_if(wanted.begin(), wanted.end(),
                                             [&](const auto& word) { return is_in(word, in); })) /
           static_cast<double>(wanted.size());
  };
  const double score = 0.6 * similar + 0.3 * share(title_words) +
                       0.05 * share(search_words(model.description, kAllWords));
  return std::min(0.99, std::round(score * 10'000) / 10'000);
}

}  // namespace mimeo::store
