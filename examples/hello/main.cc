// The smallest model: one string in, one string out.

#include "sdk/cpp/model.h"

int main(int argc, char** argv) {
  mimeo::sdk::Model model;
  model.input(mimeo::sdk::string("text").describe("Whom to greet"));
  model.output(mimeo::sdk::Output::string());
  model.predict([](mimeo::sdk::Prediction& p) { return "Hello " + p.text("text") + "!"; });
  return mimeo::sdk::serve(argc, argv, model);
}
