#include "sdk/cpp/files.h"

#include <gtest/gtest.h>

#include "common/http/test_server.h"
#include "sdk/cpp/fetch.h"
#include "sdk/cpp/test_model.h"

namespace mimeo::sdk {
namespace {

// A web server with a file, a redirect to it, and a place for uploads.
class Site {
 public:
  [[nodiscard]] std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(server_.port()) + path;
  }
  std::string uploaded, uploaded_type, uploaded_id;  // Read after the prediction's answer.

 private:
  boost::asio::awaitable<void> serve(http::Exchange* exchange) {
    const http::RequestHead& head = exchange->head();
    const Result<std::string> body = co_await exchange->read_body(16_MiB);
    http::Response response;
    if (head.method == "PUT") {
      uploaded = head.path + " " + *body;
      uploaded_type = head.headers.get("Content-Type");
      uploaded_id = head.headers.get("X-Prediction-ID");
      if (head.segments[0] == "located") {
        response.headers.add("Location", "http://files/1.txt?sig=2");
      }
      response.status = head.segments[0] == "broken" ? 500 : 201;
    } else if (head.path == "/moved") {
      response.status = 302;
      response.headers.add("Location", "/dir/cat%20one.txt?x=1");
    } else if (head.path.starts_with("/dir/")) {
      response.body = "meow";
    } else {
      response.status = 404;
    }
    co_await exchange->respond(std::move(response));
  }
  http::TestServer server_{[this](http::Exchange& exchange) { return serve(&exchange); }};
};

class FilesTest : public ::testing::Test {
 protected:
  Json read(const std::string& url) {
    ModelServer server(model_);
    server.wait_for_health("READY");
    return server.predict({{"mode", "read"}, {"image", url}}).body;
  }
  Json write(const std::string& upload_url) {
    ServerSettings settings;
    settings.upload_url = upload_url;
    ModelServer server(model_, settings);
    server.wait_for_health("READY");
    return server.call("PUT", "/predictions/p1", R"({"input":{"mode":"write","text":"hi"}})").body;
  }

  Site site_;
  Gate begun_, gate_;
  Model model_ = test_model(begun_, gate_);
};

TEST_F(FilesTest, FetchesInputFiles) {
  EXPECT_EQ(read(site_.url("/dir/a.png?sig=1"))["output"], "a.png: meow");
  EXPECT_EQ(read(site_.url("/moved"))["output"], "moved: meow");
  EXPECT_EQ(read("data:text/plain;base64,aGk=")["output"], "file.txt: hi");
  EXPECT_EQ(read("data:,a%20b")["output"], "file: a b");
}

TEST_F(FilesTest, AFileThatCannotBeFetchedFailsThePrediction) {
  for (const std::string& url :
       {site_.url("/nothing?secret=1"), std::string("ftp://x/y"), std::string("/etc/passwd"),
        std::string("file:///etc/passwd"), std::string("data:;base64,%%%")}) {
    const Json body = read(url);
    EXPECT_EQ(body["status"], "failed") << body;
    EXPECT_TRUE(body["error"].get<std::string>().starts_with("Input validation error: ")) << body;
    EXPECT_EQ(body["error"].get<std::string>().find("secret=1"), std::string::npos) << body;
  }
}

TEST_F(FilesTest, InlinesOutputsWithoutAnUploadUrl) {
  EXPECT_EQ(write("")["output"], "data:text/plain;base64,aGk=");
}

TEST_F(FilesTest, UploadsOutputs) {
  EXPECT_EQ(write(site_.url("/located"))["output"], "http://files/1.txt");
  EXPECT_EQ(site_.uploaded, "/located/a b.txt hi");
  EXPECT_EQ(site_.uploaded_type, "text/plain");
  EXPECT_EQ(site_.uploaded_id, "p1");
  EXPECT_EQ(write(site_.url("/plain/"))["output"], site_.url("/plain/a%20b.txt"));
}

TEST_F(FilesTest, AFailedUploadFailsThePrediction) {
  const Json body = write(site_.url("/broken"));
  EXPECT_EQ(body["status"], "failed");
  EXPECT_EQ(body["error"], "uploading a b.txt: HTTP 500");
}

TEST(HttpUrl, IsTakenApart) {
  const auto parts = [](const char* url) {
    const Result<HttpUrl> parsed = parse_http_url(url);
    if (!parsed.ok()) return std::string("error");
    return (parsed->is_tls ? "tls " : "") + parsed->host + " " + std::to_string(parsed->port) +
           " " + parsed->target;
  };
  EXPECT_EQ(parts("http://a/b?c#d"), "a 80 /b?c");
  EXPECT_EQ(parts("https://a"), "tls a 443 /");
  EXPECT_EQ(parts("http://a:81?x"), "a 81 /?x");
  EXPECT_EQ(parts("http://u:p@[::1]:8/x"), "::1 8 /x");
  for (const char* bad :
       {"http://", "http://:80/", "http://a:x/", "http://a:99999/", "ftp://a/", "a"}) {
    EXPECT_EQ(parts(bad), "error") << bad;
  }
}

TEST(HttpUrl, ResolvesLocations) {
  const HttpUrl base = *parse_http_url("http://a:81/x/y?z");
  EXPECT_EQ(resolve_location(base, "https://b/c"), "https://b/c");
  EXPECT_EQ(resolve_location(base, "//b/c"), "http://b/c");
  EXPECT_EQ(resolve_location(base, "/c"), "http://a:81/c");
  EXPECT_EQ(resolve_location(base, "c"), "http://a:81/x/c");
}

}  // namespace
}  // namespace mimeo::sdk
