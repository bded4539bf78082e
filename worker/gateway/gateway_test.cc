#include "worker/gateway/gateway.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>

#include "common/http/test_server.h"

namespace mimeo::worker {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

class GatewayTest : public ::testing::Test {
 protected:
  GatewayTest() {
    std::string pattern = (fs::temp_directory_path() / "mimeo-gateway-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    GatewayOptions options;
    options.spool_dir = directory_ + "/spool";
    options.base_url = "http://gateway";
    options.secret = "s3cret";
    options.uploads = {1'000'000, 1'500'000};
    options.max_webhook_bytes = 1000;
    gateway_ = std::make_unique<Gateway>(std::move(options), pool_, random_);
    server_ = std::make_unique<http::TestServer>(
        [this](http::Exchange& exchange) { return gateway_->handle(exchange); });
  }
  ~GatewayTest() override {
    server_.reset();
    fs::remove_all(directory_);
  }

  // The answer's head and body.
  std::string ask(const std::string& method, const std::string& target,
                  const std::string& body = "") {
    http::RawClient client(server_->port());
    client.send(method + " " + target + " HTTP/1.1\r\nHost: x\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body);
    return client.read_all();
  }
  static std::string status(const std::string& answer) { return answer.substr(9, 3); }
  static std::string location(const std::string& answer) {
    const std::size_t at = answer.find("Location: ") + 10;
    return answer.substr(at, answer.find("\r\n", at) - at);
  }
  void put_input(const std::string& path, const std::string& content) {
    const fs::path file = fs::path(directory_) / "spool/in" / path;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << content;
  }
  // Runs on the gateway's thread, where its state may be touched.
  template <class Use>
  auto on_thread(Use use) {
    std::packaged_task<decltype(use())()> task(std::move(use));
    return boost::asio::post(server_->io(), std::move(task)).get();
  }

  std::string directory_;
  SeededRandom random_{1};
  BlockingPool pool_{2};
  std::unique_ptr<Gateway> gateway_;
  std::unique_ptr<http::TestServer> server_;
};

TEST_F(GatewayTest, ServesAnInputAsItIs) {
  const std::string content(1'000'000, 'x');
  put_input("p1-1/0/in.bin", content);
  const std::string answer = ask("GET", "/in/p1-1/0/in.bin");
  EXPECT_EQ(status(answer), "200");
  EXPECT_NE(answer.find("Content-Length: 1000000\r\n"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("\r\n\r\n" + content));
  put_input("p1-1/1/a file.txt", "spaced");
  EXPECT_TRUE(ask("GET", "/in/p1-1/1/a%20file.txt").ends_with("spaced"));
}

TEST_F(GatewayTest, LeadsNowhereElse) {
  put_input("p1-1/0/in.bin", "x");
  std::ofstream(directory_ + "/spool/results") << "secret";
  std::ofstream(directory_ + "/outside") << "secret";
  fs::create_symlink(directory_ + "/outside", directory_ + "/spool/in/p1-1/0/link");
  fs::create_directory_symlink(directory_, directory_ + "/spool/in/p1-1/up");
  for (const char* target :
       {"/in/p1-1/0/link", "/in/p1-1/up/outside", "/in/p1-1/0/../../../results",
        "/in/p1-1/0/..%2f..%2f..%2fresults", "/in/p1-1/%2e%2e/results", "/in/..%2f/0/results",
        "/in/p1-1/0/%2fetc%2fpasswd", "/in/p1-1/0", "/in/p1-1/0/", "/in/p1-1//in.bin",
        "/in/p1-1/0/in.bin%00.txt", "/in/p1-1/0/none", "/results", "/", "//in/p1-1/0/in.bin"}) {
    const std::string answer = ask("GET", target);
    EXPECT_TRUE(status(answer) == "404" || status(answer) == "400") << target << ": " << answer;
    EXPECT_EQ(answer.find("secret"), std::string::npos) << target;
  }
}

TEST_F(GatewayTest, StoresEachUploadUnderAUrlOfItsOwn) {
  const std::string first = ask("PUT", "/out/s3cret/cat.png", "one");
  const std::string second = ask("PUT", "/out/s3cret/cat.png", "two");
  EXPECT_EQ(status(first), "201");
  EXPECT_NE(location(first), location(second));
  EXPECT_TRUE(location(first).starts_with("http://gateway/out/s3cret/"));
  EXPECT_TRUE(location(first).ends_with("/cat.png"));
  Json output = {{"images", {location(first), location(second)}}, {"text", "http://gateway/out/"}};
  std::set<std::string> used;
  on_thread([&] {
    gateway_->uploads().localize(output, used);
    return 0;
  });
  EXPECT_EQ(used.size(), 2U);
  const std::string reference = output["images"][1].get<std::string>();
  ASSERT_TRUE(reference.starts_with("mimeo-file:")) << reference;
  std::ifstream file(directory_ + "/spool/out/" + reference.substr(11));
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "two");
  EXPECT_EQ(output["text"], "http://gateway/out/");
}

TEST_F(GatewayTest, TakesNoUploadWithoutTheSecret) {
  EXPECT_EQ(status(ask("PUT", "/out/guess/cat.png", "x")), "404");
  EXPECT_EQ(status(ask("PUT", "/out/cat.png", "x")), "404");
  EXPECT_EQ(status(ask("GET", "/out/s3cret/cat.png")), "404");
}

TEST_F(GatewayTest, NamesStayAsTheModelGaveThemAndUrlsAreAscii) {
  const std::string answer = ask("PUT", "/out/s3cret/%C3%BCber%20uns%20%231.png", "x");
  EXPECT_EQ(status(answer), "201");
  EXPECT_TRUE(location(answer).ends_with("/%C3%BCber%20uns%20%231.png")) << answer;
  Json output = location(answer);
  std::set<std::string> used;
  on_thread([&] {
    gateway_->uploads().localize(output, used);
    return 0;
  });
  ASSERT_EQ(used.size(), 1U);
  EXPECT_TRUE(output.get<std::string>().ends_with("/über uns #1.png")) << output;
  EXPECT_TRUE(fs::exists(directory_ + "/spool/out/" + *used.begin()));
}

TEST_F(GatewayTest, NamesAreHarmless) {
  EXPECT_TRUE(location(ask("PUT", "/out/s3cret/..%2f..%2fx", "x")).ends_with("/x"));
  EXPECT_TRUE(location(ask("PUT", "/out/s3cret/%2e%2ehidden", "x")).ends_with("/hidden"));
  EXPECT_TRUE(location(ask("PUT", "/out/s3cret/", "x")).ends_with("/output"));
}

TEST_F(GatewayTest, LimitsEachFileAndAllTogether) {
  EXPECT_EQ(status(ask("PUT", "/out/s3cret/big", std::string(1'000'001, 'x'))), "413");
  EXPECT_EQ(status(ask("PUT", "/out/s3cret/a", std::string(900'000, 'x'))), "201");
  EXPECT_EQ(status(ask("PUT", "/out/s3cret/b", std::string(900'000, 'x'))), "413");
  EXPECT_EQ(on_thread([&] { return gateway_->uploads().used_bytes(); }), 900'000U);
  on_thread([&] {
    gateway_->uploads().remove_all();
    return 0;
  });
  EXPECT_EQ(status(ask("PUT", "/out/s3cret/b", std::string(900'000, 'x'))), "201");
}

TEST_F(GatewayTest, HandsWebhooksToWhomTheyAreFor) {
  std::promise<std::string> body;
  const std::string url = on_thread([&] {
    return gateway_->add_webhook([&](std::string text) { body.set_value(std::move(text)); });
  });
  const std::string target = url.substr(std::string("http://gateway").size());
  EXPECT_EQ(status(ask("POST", target, "hello")), "200");
  EXPECT_EQ(body.get_future().get(), "hello");
  EXPECT_EQ(status(ask("POST", target, std::string(2000, 'x'))), "413");
  on_thread([&] {
    gateway_->remove_webhook(url);
    return 0;
  });
  EXPECT_EQ(status(ask("POST", target, "late")), "404");
}

}  // namespace
}  // namespace mimeo::worker
