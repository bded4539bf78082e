#include "common/store/search_words.h"

#include "common/store/text.h"

namespace mimeo::store {
namespace {

constexpr std::size_t kLongestWord = 60;

bool is_word_byte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte >= 0x80;
}

void cut(std::string& word) {
  if (word.size() <= kLongestWord) return;
  std::size_t end = kLongestWord;
  while (end > 0 && (static_cast<unsigned char>(word[end]) & 0xC0U) == 0x80U) --end;
  word.resize(end);
}

}  // namespace

std::vector<std::string> search_words(std::string_view text, std::size_t limit) {
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    cut(word);
    if (!word.empty() && words.size() < limit) words.push_back(word);
    word.clear();
  };
  for (char c : sanitize_text(text)) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (is_word_byte(c)) {
      word.push_back(c);
    } else {
      end_word();
    }
  }
  end_word();
  return words;
}

}  // namespace mimeo::store
