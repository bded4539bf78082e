// Draws the edges of an image (Sobel operator): one file in, one file out.

#include <algorithm>
#include <cmath>

#include "examples/edges/image.h"
#include "sdk/cpp/model.h"

namespace {

using mimeo::examples::Image;

// The length of the brightness gradient at each pixel, white on black or the other way round.
Image find_edges(const Image& in, double strength, bool is_inverted, mimeo::sdk::Prediction& p) {
  Image out{in.width, in.height, 1, {}};
  out.pixels.reserve(static_cast<std::size_t>(in.width) * static_cast<std::size_t>(in.height));
  for (int y = 0; y < in.height; ++y) {
    p.check_canceled();
    for (int x = 0; x < in.width; ++x) {
      const int gx = in.grey(x + 1, y - 1) + 2 * in.grey(x + 1, y) + in.grey(x + 1, y + 1) -
                     in.grey(x - 1, y - 1) - 2 * in.grey(x - 1, y) - in.grey(x - 1, y + 1);
      const int gy = in.grey(x - 1, y + 1) + 2 * in.grey(x, y + 1) + in.grey(x + 1, y + 1) -
                     in.grey(x - 1, y - 1) - 2 * in.grey(x, y - 1) - in.grey(x + 1, y - 1);
      const int value = std::clamp(static_cast<int>(strength * std::hypot(gx, gy)), 0, 255);
      out.pixels.push_back(static_cast<std::uint8_t>(is_inverted ? 255 - value : value));
    }
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  namespace sdk = mimeo::sdk;
  sdk::Model model;
  model.input(
      sdk::file("image").describe("A PNG or JPEG of at most 64 megapixels").accept("image/*"));
  model.input(sdk::number("strength")
                  .describe("How bright an edge is drawn")
                  .default_value(1.0)
                  .at_least(0.1)
                  .at_most(10));
  model.input(sdk::boolean("inverted").describe("Black lines on white").default_value(false));
  model.output(sdk::Output::file());
  model.predict([](sdk::Prediction& p) -> sdk::Json {
    const Image image = mimeo::examples::read_image(p.file("image"));
    p.log(std::to_string(image.width) + " x " + std::to_string(image.height) + " pixels");
    const Image edges = find_edges(image, p.number("strength"), p.boolean("inverted"), p);
    const auto path = p.scratch() / "edges.png";
    mimeo::examples::write_png(edges, path);
    return p.upload(path);
  });
  return sdk::serve(argc, argv, model);
}
