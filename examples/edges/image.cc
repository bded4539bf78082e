#include "examples/edges/image.h"

#include <jpeglib.h>
#include <png.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

namespace mimeo::examples {
namespace {

constexpr std::size_t kMaxPixels = 64'000'000;

void check_size(std::size_t width, std::size_t height) {
  if (width == 0 || height == 0) throw std::runtime_error("the image is empty");
  if (width > kMaxPixels / height)
    throw std::runtime_error("the image has more than 64 megapixels");
}

Image read_png(const std::string& data) {
  png_image png = {};
  png.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_memory(&png, data.data(), data.size()) == 0) {
    throw std::runtime_error(std::string("cannot read the PNG: ") + png.message);
  }
  check_size(png.width, png.height);
  png.format = PNG_FORMAT_RGB;
  Image image{static_cast<int>(png.width), static_cast<int>(png.height), 3, {}};
  image.pixels.resize(PNG_IMAGE_SIZE(png));
  if (png_image_finish_read(&png, nullptr, image.pixels.data(), 0, nullptr) == 0) {
    throw std::runtime_error(std::string("cannot read the PNG: ") + png.message);
  }
  return image;
}

[[noreturn]] void throw_jpeg_error(j_common_ptr info) {
  char message[JMSG_LENGTH_MAX];
  info->err->format_message(info, message);
  throw std::runtime_error(std::string("cannot read the JPEG: ") + message);
}

Image read_jpeg(const std::string& data) {
  jpeg_error_mgr errors;
  jpeg_decompress_struct jpeg = {};
  jpeg.err = jpeg_std_error(&errors);
  errors.error_exit = throw_jpeg_error;
  errors.output_message = [](j_common_ptr) {};
  jpeg_create_decompress(&jpeg);
  try {
    jpeg_mem_src(&jpeg, reinterpret_cast<const unsigned char*>(data.data()), data.size());
    jpeg_read_header(&jpeg, TRUE);
    check_size(jpeg.image_width, jpeg.image_height);
    jpeg.out_color_space = JCS_RGB;
    jpeg_start_decompress(&jpeg);
    Image image{static_cast<int>(jpeg.output_width), static_cast<int>(jpeg.output_height), 3, {}};
    const std::size_t stride = std::size_t{jpeg.output_width} * 3;
    image.pixels.resize(stride * jpeg.output_height);
    while (jpeg.output_scanline < jpeg.output_height) {
      JSAMPROW row = image.pixels.data() + stride * jpeg.output_scanline;
      jpeg_read_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_decompress(&jpeg);
    jpeg_destroy_decompress(&jpeg);
    return image;
  } catch (...) {
    jpeg_destroy_decompress(&jpeg);
    throw;
  }
}

}  // namespace

int Image::grey(int x, int y) const {
  x = std::clamp(x, 0, width - 1);
  y = std::clamp(y, 0, height - 1);
  const std::uint8_t* p = &pixels[(static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                                   static_cast<std::size_t>(x)) *
                                  static_cast<std::size_t>(channels)];
  return channels == 1 ? p[0]
                       : (299 * p[0] + 587 * p[1] + 114 * p[2]) / 1000;  // ITU-R BT.601 luma.
}

Image read_image(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string data(std::istreambuf_iterator<char>(in), {});
  if (data.starts_with("\x89PNG")) return read_png(data);
  if (data.starts_with("\xff\xd8")) return read_jpeg(data);
  throw std::runtime_error("the image is neither a PNG nor a JPEG");
}

void write_png(const Image& image, const std::filesystem::path& path) {
  png_image png = {};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.width);
  png.height = static_cast<png_uint_32>(image.height);
  png.format = image.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  if (png_image_write_to_file(&png, path.c_str(), 0, image.pixels.data(), 0, nullptr) == 0) {
    throw std::runtime_error(std::string("cannot write the PNG: ") + png.message);
  }
}

}  // namespace mimeo::examples
