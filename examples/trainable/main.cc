// Learns from texts which word follows which, and writes on from a given word. What it learned is a
// file of lines "word, tab, next word, tab, count"; a version that was never trained knows one
// sentence only.

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <fstream>
#include <map>
#include <sstream>

#include "sdk/cpp/model.h"

namespace {

using mimeo::sdk::Json;
using mimeo::sdk::Prediction;

// How often each word followed each other one.
class Bigrams {
 public:
  // Words are what stands between spaces, in lower case.
  void learn(std::istream& text) {
    std::string last, word;
    while (text >> word) {
      std::transform(word.begin(), word.end(), word.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      if (!last.empty()) ++next_[last][word];
      last = word;
    }
  }
  void save(std::ostream& out) const {
    for (const auto& [word, followers] : next_) {
      for (const auto& [next, count] : followers)
        out << word << '\t' << next << '\t' << count << '\n';
    }
  }
  void load(std::istream& in) {
    std::string word, next;
    std::uint64_t count = 0;
    while (in >> word >> next >> count) next_[word][next] += count;
    if (!in.eof()) throw std::runtime_error("the weights are no table of words");
  }
  // The most frequent one, the first in the alphabet among equals; empty when none is known.
  [[nodiscard]] std::string after(const std::string& word) const {
    const auto known = next_.find(word);
    if (known == next_.end()) return {};
    const auto most =
        std::max_element(known->second.begin(), known->second.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    return most->first;
  }
  [[nodiscard]] std::size_t words() const { return next_.size(); }

 private:
  std::map<std::string, std::map<std::string, std::uint64_t>> next_;
};

Json predict(Prediction& p, const Bigrams& bigrams) {
  std::string word = p.text("start");
  std::string text = word;
  for (std::int64_t i = 1; i < p.integer("words"); ++i) {
    word = bigrams.after(word);
    if (word.empty()) break;
    text += " " + word;
  }
  return text;
}

Json train(Prediction& p) {
  Bigrams learned;
  for (std::int64_t epoch = 1; epoch <= p.integer("epochs"); ++epoch) {
    for (const auto& path : p.files("texts")) {
      std::ifstream in(path);
      if (!in) throw std::runtime_error("cannot read " + path.filename().string());
      learned.learn(in);
      p.check_canceled();
    }
    p.log("epoch " + std::to_string(epoch) + ": " + std::to_string(learned.words()) + " words");
    p.metric("epochs", epoch);
    if (!p.sleep_for(std::chrono::milliseconds(p.integer("pause_ms")))) {
      throw mimeo::sdk::Canceled{};
    }
  }
  if (learned.words() == 0) throw std::runtime_error("the texts hold no two words");
  const auto weights = p.scratch() / "bigrams.tsv";
  {
    std::ofstream out(weights);
    learned.save(out);
  }
  return p.upload(weights);
}

}  // namespace

int main(int argc, char** argv) {
  namespace sdk = mimeo::sdk;
  Bigrams bigrams;
  sdk::Model model;
  model.setup([&](const sdk::SetupLog& log, const sdk::Weights& weights) {
    if (weights) {
      std::ifstream in(*weights);
      if (!in) throw std::runtime_error("cannot read the weights");
      bigrams.load(in);
    } else {
      std::istringstream sentence("nobody trained me yet");
      bigrams.learn(sentence);
    }
    log("knows what follows " + std::to_string(bigrams.words()) + " words");
  });
  model.input(sdk::string("start").describe("The first word").default_value("nobody"));
  model.input(
      sdk::integer("words").describe("How many words").default_value(8).at_least(1).at_most(1000));
  model.output(sdk::Output::string());
  model.predict([&](Prediction& p) { return predict(p, bigrams); });
  model.training_input(sdk::file("texts").list().describe("Texts to learn from"));
  model.training_input(sdk::integer("epochs")
                           .describe("How often each text is read")
                           .default_value(1)
                           .at_least(1)
                           .at_most(1'000'000));
  model.training_input(sdk::integer("pause_ms")
                           .describe("Pause after each epoch")
                           .default_value(0)
                           .at_least(0)
                           .at_most(60'000));
  model.train(train);
  return sdk::serve(argc, argv, model);
}
