// For measuring: answers at once, and takes 64 predictions at a time, so that what is measured is
// the platform and not the model.

#include "sdk/cpp/model.h"

int main(int argc, char** argv) {
  mimeo::sdk::Model model;
  model.input(mimeo::sdk::string("text").describe("Comes back as a greeting"));
  model.output(mimeo::sdk::Output::string());
  model.concurrency(64);
  model.predict([](mimeo::sdk::Prediction& p) { return "Hello " + p.text("text") + "!"; });
  return mimeo::sdk::serve(argc, argv, model);
}
