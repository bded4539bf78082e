// An 8-bit image in memory, read from PNG or JPEG and written as PNG.

#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace mimeo::examples {

// Pixels row by row, `channels` bytes each (1 grey, 3 RGB).
struct Image {
  int width = 0;
  int height = 0;
  int channels = 3;
  std::vector<std::uint8_t> pixels;

  [[nodiscard]] int grey(int x, int y) const;  // 0..255, edges repeat outwards.
};

// Throws std::runtime_error with a message for the prediction's owner: not a PNG or JPEG, damaged,
// or more than 64 megapixels.
[[nodiscard]] Image read_image(const std::filesystem::path& path);
void write_png(const Image& image, const std::filesystem::path& path);

}  // namespace mimeo::examples
