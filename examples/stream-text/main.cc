// Streams its input back word by word, like a language model with a settable speed. It can also
// fail, crash and ignore its cancellation on request, so that one can see what the platform does
// then.

#include <cstdlib>

#include "sdk/cpp/model.h"

namespace {

using mimeo::sdk::Json;
using mimeo::sdk::Prediction;

// Cuts after each space: joined, the pieces are the text again.
std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::size_t start = 0;
  while (start < text.size()) {
    std::size_t end = text.find(' ', start);
    end = end == std::string::npos ? text.size() : end + 1;
    words.push_back(text.substr(start, end - start));
    start = end;
  }
  return words;
}

Json predict(Prediction& p) {
  const std::chrono::milliseconds delay(p.integer("delay_ms"));
  const bool obeys = !p.boolean("ignore_cancel");
  p.metric("in_flight", p.in_flight());
  std::int64_t index = 0;
  for (const std::string& word : words_of(p.text("text"))) {
    if (index == p.integer("fail_at"))
      throw std::runtime_error("failed at token " + std::to_string(index));
    if (index == p.integer("exit_at")) std::_Exit(static_cast<int>(p.integer("exit_code")));
    if (p.boolean("log")) p.log("token " + std::to_string(index));
    const bool slept = p.sleep_for(delay);
    if (!slept && obeys) throw mimeo::sdk::Canceled{};
    p.emit(word);
    ++index;
  }
  p.metric("output_token_count", index);
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  namespace sdk = mimeo::sdk;
  sdk::Model model;
  model.input(sdk::string("text").describe("What to stream back, word by word"));
  model.input(sdk::integer("delay_ms")
                  .describe("Pause before each word")
                  .default_value(0)
                  .at_least(0)
                  .at_most(60'000));
  model.input(sdk::boolean("log").describe("Write a log line for each word").default_value(false));
  model.input(
      sdk::integer("fail_at").describe("Fail before this word (0 is the first)").default_value(-1));
  model.input(
      sdk::integer("exit_at").describe("End the whole process before this word").default_value(-1));
  model.input(sdk::integer("exit_code")
                  .describe("With exit_at: the exit code")
                  .default_value(1)
                  .at_least(0)
                  .at_most(255));
  model.input(
      sdk::boolean("ignore_cancel").describe("Go on after a cancellation").default_value(false));
  model.output(sdk::Output::text_stream());
  model.predict(predict);
  return sdk::serve(argc, argv, model);
}
