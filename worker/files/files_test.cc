// input_files.h and output_files.h against a real HTTP server, a real folder and a fake control
// plane.

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "common/http/test_server.h"
#include "worker/files/data_url.h"
#include "worker/files/input_files.h"
#include "worker/files/output_files.h"
#include "worker/testing/fake_hub_api.h"
#include "worker/testing/test_loop.h"

namespace mimeo::worker {
namespace {

namespace fs = std::filesystem;
using boost::asio::awaitable;
using nlohmann::json;

constexpr char kSchema[] = R"({"components":{"schemas":{
  "Input":{"type":"object","properties":{
    "image":{"type":"string","format":"uri"},
    "all":{"type":"array","items":{"type":"string","format":"uri"}},
    "prompt":{"type":"string"}}},
  "Output":{"type":"array","items":{"type":"string","format":"uri"}}}}})";

awaitable<void> serve_files(http::Exchange& exchange) {
  http::Response response;
  if (exchange.head().path == "/cat.png") {
    response.body = "a cat";
  } else if (exchange.head().path == "/moved") {
    response.status = 302;
    response.headers.set("Location", "/cat.png");
  } else {
    response.status = 404;
  }
  (void)co_await exchange.respond(std::move(response));
}

std::string content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

class FilesTest : public ::testing::Test {
 protected:
  FilesTest() : ids_(clock_, random_) {
    attempt_ = AttemptKey{ids_.next(), 2};
    input_limits_.addresses.allow_private = true;
    input_limits_.retry.total = std::chrono::milliseconds{0};
    output_limits_.retry.first = std::chrono::milliseconds{1};
    output_limits_.retry.longest = std::chrono::milliseconds{1};
    output_limits_.retry.total = std::chrono::seconds{5};
  }

  Result<std::string> prepare(const json& input,
                              const std::string& gateway = "http://127.0.0.1:4747") {
    InputFiles files(pool_, random_, hub_, input_limits_);
    InputJob job;
    job.attempt = attempt_;
    job.input = input.is_null() ? "" : input.dump();
    job.fields = fields_;
    job.spool = folder_.path();
    job.gateway = gateway;
    return loop_.run(files.prepare(std::move(job)));
  }
  Result<std::string> store(OutputFiles& files, const std::string& output,
                            OutputPart part = OutputPart::kWhole) {
    OutputJob job;
    job.attempt = attempt_;
    job.output = output;
    job.part = part;
    job.fields = fields_;
    job.spool = folder_.path();
    return loop_.run(files.store(std::move(job)));
  }
  void write_output(const std::string& relative, const std::string& content) {
    const fs::path path = folder_.path() / "out" / relative;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << content;
  }
  [[nodiscard]] std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(server_.port()) + path;
  }
  [[nodiscard]] fs::path input_folder() const { return folder_.path() / "in" / attempt_.str(); }

  TestLoop loop_;
  TestFolder folder_;
  SystemClock clock_;
  SystemRandom random_;
  IdGenerator ids_;
  BlockingPool pool_{4};
  FakeHubApi hub_;
  http::TestServer server_{serve_files};
  InputLimits input_limits_;
  OutputLimits output_limits_;
  AttemptKey attempt_;
  std::shared_ptr<const FileFields> fields_ = FileFields::parse(kSchema, false);
};

TEST_F(FilesTest, WebFilesAreFetchedAndServedByTheGateway) {
  const auto input = prepare({{"image", url("/cat.png?sig=1")}, {"prompt", url("/cat.png")}});
  ASSERT_TRUE(input.ok()) << input.status();
  const json seen = json::parse(*input);
  EXPECT_EQ(seen["image"], "http://127.0.0.1:4747/in/" + attempt_.str() + "/0/cat.png");
  EXPECT_EQ(seen["prompt"], url("/cat.png"));  // Only text.
  EXPECT_EQ(content_of(input_folder() / "0" / "cat.png"), "a cat");
}

TEST_F(FilesTest, ListsOfFilesAndDataUrlsAreFetched) {
  const auto input = prepare({{"all", {url("/moved"), make_data_url("image/jpeg", "a dog")}}});
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(content_of(input_folder() / "0" / "moved"), "a cat");
  EXPECT_EQ(content_of(input_folder() / "1" / "file.jpg"), "a dog");
  EXPECT_TRUE(json::parse(*input)["all"][1].get<std::string>().ends_with("/1/file.jpg"));
}

TEST_F(FilesTest, OurOwnFilesComeFromTheControlPlane) {
  hub_.inputs["https://mimeo.example.com/v1/files/f1"] = "uploaded";
  const auto input = prepare({{"image", "https://mimeo.example.com/v1/files/f1"}});
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(content_of(input_folder() / "0" / "f1"), "uploaded");
}

TEST_F(FilesTest, AMissingFileFailsWithItsUrlAndLeavesNothingBehind) {
  const auto input = prepare({{"all", {url("/cat.png"), url("/nothing")}}});
  ASSERT_FALSE(input.ok());
  EXPECT_NE(input.status().message().find(url("/nothing")), std::string::npos) << input.status();
  EXPECT_NE(input.status().message().find("404"), std::string::npos) << input.status();
  EXPECT_FALSE(fs::exists(input_folder()));
}

TEST_F(FilesTest, PrivateAddressesAreRefusedUnlessAllowed) {
  input_limits_.addresses.allow_private = false;
  const auto input = prepare({{"image", url("/cat.png")}});
  EXPECT_FALSE(input.ok());
}

TEST_F(FilesTest, FilesAboveTheLimitAreRefused) {
  input_limits_.max_file = Bytes{3};
  EXPECT_TRUE(absl::IsResourceExhausted(prepare({{"image", url("/cat.png")}}).status()));
  EXPECT_TRUE(absl::IsResourceExhausted(
      prepare({{"image", make_data_url("image/png", "a dog")}}).status()));
}

TEST_F(FilesTest, WithoutAGatewayFilesGoInline) {
  const auto input = prepare({{"image", url("/cat.png")}}, "");
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(json::parse(*input)["image"], make_data_url("image/png", "a cat"));
  EXPECT_FALSE(fs::exists(input_folder()));
}

TEST_F(FilesTest, OnlySmallFilesGoInline) {
  input_limits_.max_inline_total = Bytes{9};
  EXPECT_TRUE(prepare({{"image", url("/cat.png")}}, "").ok());
  const auto input = prepare({{"all", {url("/cat.png"), url("/moved")}}}, "");
  EXPECT_TRUE(absl::IsResourceExhausted(input.status())) << input.status();
  EXPECT_NE(input.status().message().find("inline, at most 9 bytes"), std::string::npos)
      << input.status();
  EXPECT_FALSE(fs::exists(input_folder()));
  EXPECT_TRUE(prepare({{"all", {url("/cat.png"), url("/moved")}}}).ok()) << "through the gateway";
}

TEST_F(FilesTest, AllFilesOfAnAttemptHaveALimitTogether) {
  input_limits_.max_total = Bytes{10};
  const json pair{{"all", {url("/cat.png"), make_data_url("image/jpeg", "a dog")}}};
  EXPECT_TRUE(prepare(pair).ok());
  hub_.inputs["https://mimeo.example.com/v1/files/f1"] = "x";
  json three = pair;
  three["image"] = "https://mimeo.example.com/v1/files/f1";
  EXPECT_TRUE(absl::IsResourceExhausted(prepare(three).status()));
}

TEST_F(FilesTest, WhatATryBroughtDoesNotCountInTheNextOne) {
  const std::string ours = "https://mimeo.example.com/v1/files/f1";
  input_limits_.max_total = Bytes{10};
  input_limits_.retry.first = input_limits_.retry.longest = std::chrono::milliseconds{1};
  input_limits_.retry.total = std::chrono::seconds{5};
  hub_.inputs[ours] = "8 bytes.";
  hub_.broken_fetches = 3;
  const auto input = prepare({{"image", ours}});
  EXPECT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(content_of(input_folder() / "0" / "f1"), "8 bytes.");
}

TEST_F(FilesTest, NamesStayAsTheyAre) {
  hub_.inputs["https://mimeo.example.com/delivery/t/%C3%BCber%20uns.png"] = "x";
  const auto input =
      prepare({{"image", "https://mimeo.example.com/delivery/t/%C3%BCber%20uns.png"}});
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_TRUE(json::parse(*input)["image"].get<std::string>().ends_with("/0/%C3%BCber%20uns.png"));
  EXPECT_EQ(content_of(input_folder() / "0" / "über uns.png"), "x");
  write_output("1/über uns.png", "y");
  OutputFiles files(pool_, random_, hub_, output_limits_);
  ASSERT_TRUE(store(files, R"("mimeo-file:1/über uns.png")", OutputPart::kItem).ok());
  EXPECT_EQ(hub_.stored.at(0).filename, "über uns.png");
}

TEST_F(FilesTest, AnInputThatWasNotSentIsFetched) {
  hub_.inputs[""] = R"({"prompt":"hi"})";
  const auto input = prepare(nullptr);
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(json::parse(*input), json({{"prompt", "hi"}}));
}

TEST_F(FilesTest, ReferencesOfTheShimBecomePublicUrls) {
  write_output("1/cat.png", "a cat");
  OutputFiles files(pool_, random_, hub_, output_limits_);
  const auto output = store(files, R"({"deep":[{"image":"mimeo-file:1/cat.png"}],"n":1})");
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(json::parse(*output)["deep"][0]["image"], "https://api.example.com/delivery/1/cat.png");
  ASSERT_EQ(hub_.stored.size(), 1U);
  EXPECT_EQ(hub_.stored[0].content, "a cat");
  EXPECT_EQ(hub_.stored[0].content_type, "image/png");
  EXPECT_EQ(hub_.stored[0].attempt, attempt_);
}

TEST_F(FilesTest, AStreamedFileKeepsItsUrlInTheFinalOutput) {
  write_output("1/a.txt", "first");
  OutputFiles files(pool_, random_, hub_, output_limits_);
  const auto event = store(files, R"("mimeo-file:1/a.txt")", OutputPart::kItem);
  const auto final_output = store(files, R"(["mimeo-file:1/a.txt","mimeo-file:1/a.txt"])");
  ASSERT_TRUE(event.ok() && final_output.ok());
  EXPECT_EQ(json::parse(*final_output), json::array({json::parse(*event), json::parse(*event)}));
  EXPECT_EQ(hub_.stored.size(), 1U);
}

TEST_F(FilesTest, DeclaredAndLongDataUrlsBecomeFilesAndOthersStay) {
  OutputFiles files(pool_, random_, hub_, output_limits_);
  const std::string small = make_data_url("image/png", "tiny");
  const std::string large = make_data_url("image/png", std::string(2000, 'x'));
  const auto declared = store(files, json::array({small}).dump());
  EXPECT_EQ(json::parse(*declared)[0], "https://api.example.com/delivery/1/output.png");
  const auto undeclared = store(files, json({{"small", small}, {"large", large}}).dump());
  EXPECT_EQ(json::parse(*undeclared)["small"], small);
  EXPECT_EQ(json::parse(*undeclared)["large"], "https://api.example.com/delivery/2/output.png");
}

TEST_F(FilesTest, AReferenceThatLeadsNowhereIsTheModelsOwnText) {
  write_output("1/a.txt", "x");
  std::ofstream(folder_.path() / "secret") << "s";
  fs::create_symlink(folder_.path() / "secret", folder_.path() / "out" / "1" / "link");
  OutputFiles files(pool_, random_, hub_, output_limits_);
  for (const char* text :
       {"mimeo-file:2/no", "mimeo-file:../secret", "mimeo-file:1/../../secret", "mimeo-file:1/link",
        "mimeo-file:/etc/passwd", "mimeo-file:1", "mimeo-file:"}) {
    const auto output = store(files, json(text).dump());
    ASSERT_TRUE(output.ok()) << output.status();
    EXPECT_EQ(json::parse(*output), text);
  }
  EXPECT_TRUE(hub_.stored.empty());
}

TEST_F(FilesTest, AnUploadIsTriedAgainWhileNoControlPlaneAnswers) {
  write_output("1/a.txt", "x");
  hub_.failures = 3;
  OutputFiles files(pool_, random_, hub_, output_limits_);
  EXPECT_TRUE(store(files, R"("mimeo-file:1/a.txt")").ok());
  EXPECT_EQ(hub_.stored.size(), 1U);
}

}  // namespace
}  // namespace mimeo::worker
