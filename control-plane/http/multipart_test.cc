#include "control-plane/http/multipart.h"

#include <gtest/gtest.h>

#include <vector>

namespace mimeo::control {
namespace {

// Keeps everything, for tests.
class Collected final : public PartSink {
 public:
  struct Part {
    PartHead head;
    std::string data;
    bool has_ended = false;
  };
  Status begin_part(PartHead head) override {
    parts.push_back({std::move(head), "", false});
    return absl::OkStatus();
  }
  Status part_data(std::string_view data) override {
    parts.back().data.append(data);
    return absl::OkStatus();
  }
  Status end_part() override {
    parts.back().has_ended = true;
    return absl::OkStatus();
  }
  std::vector<Part> parts;
};

Status parse(std::string_view body, std::size_t step, Collected& sink) {
  MultipartParser parser("XyZ", sink);
  for (std::size_t i = 0; i < body.size(); i += step) {
    MIMEO_RETURN_IF_ERROR(parser.feed(body.substr(i, step)));
  }
  return parser.finish();
}

constexpr std::string_view kBody =
    "--XyZ\r\n"
    "Content-Disposition: form-data; name=\"content\"; filename=\"a \\\"b\\\".txt\"\r\n"
    "Content-Type: text/plain\r\n"
    "\r\n"
    "one\r\n--Xy two\r\n\r\n"
    "\r\n--XyZ\r\n"
    "content-disposition: form-data; name=metadata\r\n"
    "\r\n"
    "{}"
    "\r\n--XyZ\r\n"
    "Content-Disposition: form-data; name=\"empty\"; filename*=UTF-8''%c3%a4.bin\r\n"
    "\r\n"
    "\r\n--XyZ--\r\n";

TEST(Multipart, PartsAreTheSameHoweverTheBytesArrive) {
  for (const std::size_t step : {1, 2, 3, 7, 50, 10'000}) {
    Collected sink;
    ASSERT_EQ(parse(kBody, step, sink), absl::OkStatus()) << step;
    ASSERT_EQ(sink.parts.size(), 3U) << step;
    EXPECT_EQ(sink.parts[0].head.name, "content");
    EXPECT_EQ(sink.parts[0].head.filename, "a \"b\".txt");
    EXPECT_EQ(sink.parts[0].head.content_type, "text/plain");
    EXPECT_EQ(sink.parts[0].data, "one\r\n--Xy two\r\n\r\n");
    EXPECT_EQ(sink.parts[1].head.name, "metadata");
    EXPECT_FALSE(sink.parts[1].head.filename.has_value());
    EXPECT_EQ(sink.parts[1].data, "{}");
    EXPECT_EQ(sink.parts[2].head.filename, "ä.bin");
    EXPECT_EQ(sink.parts[2].data, "");
    for (const auto& part : sink.parts) EXPECT_TRUE(part.has_ended);
  }
}

TEST(Multipart, TruncatedAndMalformedBodiesAreRefused) {
  Collected sink;
  EXPECT_FALSE(parse("", 10, sink).ok());
  EXPECT_FALSE(parse("--XyZ\r\n", 10, sink).ok());
  EXPECT_FALSE(parse(kBody.substr(0, 200), 10, sink).ok());
  EXPECT_FALSE(parse(kBody.substr(0, kBody.size() - 6), 10, sink).ok());
  EXPECT_FALSE(parse("--XyZ\r\nno colon\r\n\r\nx\r\n--XyZ--", 10, sink).ok());
  EXPECT_FALSE(parse("--XyZ\r\nContent-Type: a/b\r\n\r\nx\r\n--XyZ--", 10, sink).ok());
  EXPECT_FALSE(parse("--XyZ garbage\r\n\r\n", 10, sink).ok());
  EXPECT_FALSE(parse(std::string(100'000, 'x'), 1000, sink).ok());
  EXPECT_FALSE(parse("--XyZ\r\n" + std::string(100'000, 'x'), 1000, sink).ok());
}

TEST(Multipart, TheBoundaryIsFoundInTheContentType) {
  EXPECT_EQ(multipart_boundary("multipart/form-data; boundary=abc"), "abc");
  EXPECT_EQ(multipart_boundary("Multipart/Form-Data; charset=utf-8; boundary=\"a b\""), "a b");
  EXPECT_FALSE(multipart_boundary("application/json").has_value());
  EXPECT_FALSE(multipart_boundary("multipart/form-data").has_value());
  EXPECT_FALSE(multipart_boundary("multipart/form-data; boundary=").has_value());
  EXPECT_FALSE(
      multipart_boundary("multipart/form-data; boundary=" + std::string(71, 'a')).has_value());
}

}  // namespace
}  // namespace mimeo::control
