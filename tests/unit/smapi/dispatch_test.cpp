// The way from a call frame to an answer frame, and everything that can be
// wrong with a request.
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "core/json.hpp"
#include "unit/smapi/fake_handler.hpp"
#include "vnvme/smapi_methods.hpp"

namespace vnvme::smapi::testing {
namespace {

const std::string kBoth = R"({"sr":")" + kSr + R"(","key":")" + kVolume + R"("})";

// Complete as the broker demands it: all fields, right types.
void expect_error_form(const std::string& body) {
  auto json = parse_json(body);
  ASSERT_TRUE(json) << body;
  ASSERT_TRUE(json->is_object()) << body;
  EXPECT_TRUE((*json)["code"].is_string() && !(*json)["code"].get_ref<const std::string&>().empty()) << body;
  ASSERT_TRUE((*json)["params"].is_array()) << body;
  for (const auto& p : (*json)["params"]) EXPECT_TRUE(p.is_string()) << body;
  const auto& trace = (*json)["backtrace"];
  EXPECT_TRUE(trace["error"].is_string() && trace["files"].is_array() && trace["lines"].is_array()) << body;
}

std::string param(const Answer& answer, std::size_t index) {
  auto json = parse_json(answer.body);
  if (!json) return "not JSON: " + answer.body;
  const auto& params = (*json)["params"];
  return index < params.size() ? params[index].get<std::string>() : "no such parameter";
}

TEST(Dispatch, MethodsThatWeDoNotHaveAreUnimplementedAsTheBindingsSayIt) {
  FakeHandler handler;
  for (auto name : {"Volume.compose", "Data.mirror", "Plugin.Query", "", "SR.statx", "\n\xff"}) {
    auto answer = ask(handler, name, "{}");
    EXPECT_EQ(answer.type, frame::Type::error);
    expect_error_form(answer.body);
    EXPECT_EQ(param(answer, 0), "Unimplemented") << name;
  }
  EXPECT_EQ(param(ask(handler, "Volume.compose", "{}"), 1), "Volume.compose");
  EXPECT_TRUE(handler.asked.empty());
}

TEST(Dispatch, DiagnosticsNeedsNoHandler) {
  FakeHandler handler;
  handler.error = Error{};
  auto answer = ask(handler, "Plugin.diagnostics", "{}");
  EXPECT_EQ(answer.type, frame::Type::result);
  EXPECT_EQ(answer.body, "\"vnvmed " VNVME_VERSION " answers\"");
}

TEST(Dispatch, BodiesThatAreNoObjectAreRefusedInWords) {
  FakeHandler handler;
  for (auto body : {"", "{", "[]", "7", "null", "\"x\"", "{} {}", "{\"sr\":\"\xff\"}", "{\"sr\":1,}"}) {
    auto answer = ask(handler, "SR.stat", body);
    EXPECT_EQ(answer.type, frame::Type::error) << body;
    expect_error_form(answer.body);
    EXPECT_NE(answer.body.find("SR_BACKEND_FAILURE_143"), std::string::npos) << answer.body;
  }
  std::string deep(100000, '[');
  EXPECT_EQ(ask(handler, "SR.stat", deep).type, frame::Type::error);
  EXPECT_TRUE(handler.asked.empty());
}

TEST(Dispatch, ARequestThatWasAnsweredIsAnsweredAgainNotRunAgain) {
  FakeHandler handler;
  handler.recalled = "{\"key\":\"before\"}";
  for (auto method : {"Volume.create", "Volume.snapshot", "Volume.clone"}) {
    auto answer = ask(handler, method, "not even read");
    EXPECT_EQ(answer.type, frame::Type::result);
    EXPECT_EQ(answer.flags, 0) << "it is visible already";
    EXPECT_EQ(answer.body, "{\"key\":\"before\"}");
  }
  EXPECT_TRUE(handler.asked.empty());
  EXPECT_EQ(ask(handler, "Volume.stat", kBoth).type, frame::Type::result) << "others always run";
  EXPECT_EQ(handler.asked.size(), 1u);
}

TEST(Dispatch, TheWordMakesTheAnswerPrintable) {
  FakeHandler handler;
  auto answer = finish(confirm(handler, a_call("volume.CREATE", "{}"), "{\"key\":1}"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->type, frame::Type::print);
  EXPECT_EQ(handler.asked.at(0), "Volume.create(printing, {\"key\":1})");
}

TEST(Dispatch, AWordThatCameTooLateIsAnError) {
  FakeHandler handler;
  handler.error = Error{Errc::timeout, Outcome::not_done, "the word came after the deadline"};
  auto answer = finish(confirm(handler, a_call("Volume.create", "{}"), "x"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->type, frame::Type::error);
  expect_error_form(answer->body);
  auto unknown = finish(confirm(handler, a_call("Volume.compose", "{}"), "x"));
  ASSERT_TRUE(unknown);
  EXPECT_EQ(unknown->type, frame::Type::error);
  EXPECT_EQ(handler.asked.size(), 1u);
}

TEST(Dispatch, AnAnswerBeyondTheFrameLimitIsAnErrorNotABrokenFrame) {
  FakeHandler handler;
  Volume large = a_volume();
  large.description = std::string(64 << 10, '\x01');  // six bytes each when escaped
  handler.volumes.assign(200, large);
  auto answer = ask(handler, "SR.ls", R"({"sr":")" + kSr + R"("})");
  EXPECT_EQ(answer.type, frame::Type::error);
  EXPECT_LT(answer.body.size(), 2000u);
  expect_error_form(answer.body);
}

struct Expected {
  Errc code;
  const char *sr, *volume;
};

TEST(Errors, EveryCodeHasItsNumber) {
  const Expected table[] = {
      {Errc::invalid_argument, "1", "1"}, {Errc::already_exists, "42", "43"},
      {Errc::busy, "47", "46"},           {Errc::in_use, "16", "24"},
      {Errc::no_space, "44", "44"},       {Errc::too_many_volumes, "44", "44"},
      {Errc::not_permitted, "47", "46"},  {Errc::timeout, "47", "46"},
      {Errc::unreachable, "47", "47"},    {Errc::conflict, "202", "202"},
      {Errc::rebuilding, "47", "47"},     {Errc::corrupt, "181", "181"},
      {Errc::io, "200", "200"},           {Errc::protocol, "202", "202"},
      {Errc::cancelled, "201", "201"},    {Errc::internal, "202", "202"},
  };
  for (const auto& row : table) {
    FakeHandler handler;
    handler.error = Error{row.code, Outcome::unknown, "why \"it\" failed", "a_step", "unix:/a", -28};
    auto sr = ask(handler, "SR.stat", R"({"sr":")" + kSr + R"("})");
    auto volume = ask(handler, "Volume.stat", kBoth);
    expect_error_form(sr.body);
    EXPECT_EQ(sr.body.find(std::string(R"({"code":"SR_BACKEND_FAILURE_)") + row.sr + "\""), 0u) << sr.body;
    EXPECT_EQ(volume.body.find(std::string(R"({"code":"SR_BACKEND_FAILURE_)") + row.volume + "\""), 0u)
        << volume.body;
    EXPECT_EQ(param(volume, 0), "");
    EXPECT_EQ(param(volume, 1), "why \"it\" failed");
    EXPECT_EQ(param(volume, 2), "");
    EXPECT_NE(volume.body.find("a_step"), std::string::npos) << "the backtrace names the step";
  }
}

TEST(Errors, WhatIsMissingIsSaidInTheIdlsWords) {
  FakeHandler handler;
  handler.error = Error{Errc::not_found, Outcome::not_done, "no such thing"};
  auto expect = [&handler](const char* method, const std::string& body, const char* name,
                           const std::string& id) {
    auto answer = ask(handler, method, body);
    EXPECT_EQ(answer.body.find(R"({"code":"SR_BACKEND_FAILURE",)"), 0u) << answer.body;
    EXPECT_EQ(param(answer, 0), name) << method;
    EXPECT_EQ(param(answer, 1), id) << method;
  };
  std::string sr = R"({"sr":")" + kSr + R"("})";
  std::string uri = R"({"uri":"vnvme:///)" + kSr + "/" + kVolume + R"(","domain":"7"})";
  expect("Volume.stat", kBoth, "Volume_does_not_exist", kVolume);
  expect("SR.stat", sr, "SR_does_not_exist", kSr);
  expect("Datapath.attach", uri, "Volume_does_not_exist", kVolume);
  expect("Datapath.attach", R"({"uri":"raw+file:///x","domain":"7"})", "Volume_does_not_exist",
         "raw+file:///x");
  expect("Volume.create", R"({"sr":")" + kSr + R"(","name":"","description":"","size":1})",
         "SR_does_not_exist", kSr);
  expect("SR.attach", R"({"configuration":{"sr_uuid":")" + kSr + R"("}})", "SR_does_not_exist", kSr);
  for (auto body : {R"({"configuration":{}})"})
    EXPECT_NE(ask(handler, "SR.attach", body).body.find("SR_BACKEND_FAILURE_19"), std::string::npos);
  auto create = R"({"uuid":")" + kSr + R"(","configuration":{},"name":"","description":""})";
  EXPECT_NE(ask(handler, "SR.create", create).body.find("SR_BACKEND_FAILURE_19"), std::string::npos)
      << "a drive, not the SR";
}

TEST(Errors, SomeMethodsHaveNumbersOfTheirOwn) {
  FakeHandler handler;
  handler.error = Error{Errc::invalid_argument, Outcome::not_done, "a volume never shrinks"};
  auto resize = R"({"sr":")" + kSr + R"(","key":")" + kVolume + R"(","new_size":1})";
  EXPECT_NE(ask(handler, "Volume.resize", resize).body.find("SR_BACKEND_FAILURE_79"), std::string::npos);
  handler.error->code = Errc::in_use;
  EXPECT_NE(ask(handler, "SR.destroy", R"({"sr":")" + kSr + R"("})").body.find("SR_BACKEND_FAILURE_39"),
            std::string::npos);
  handler.error->code = Errc::not_supported;
  auto answer = ask(handler, "Volume.snapshot", kBoth);
  EXPECT_EQ(answer.body.find(R"({"code":"SR_OPERATION_NOT_SUPPORTED")"), 0u);
  EXPECT_EQ(param(answer, 0), kSr);
}

TEST(Errors, LongTextsAreCutBetweenCharacters) {
  FakeHandler handler;
  std::string text;
  while (text.size() < 100000) text += "\xE2\x98\x83";
  handler.error = Error{Errc::io, Outcome::not_done, text};
  auto answer = ask(handler, "Volume.stat", kBoth);
  expect_error_form(answer.body);
  EXPECT_LT(answer.body.size(), 10000u);
}

// What XAPI really sent, each line changed in 60 random ways: an answer always, of the right form always.
TEST(Mutations, OfEveryRecordedRequestGetAnAnswerOfTheRightForm) {
  std::ifstream lines(VNVME_TEST_DATA "/broker/full.calls.jsonl");
  std::mt19937 random(7);
  int cases = 0;
  for (std::string line; std::getline(lines, line);) {
    auto recorded = parse_json(line);
    ASSERT_TRUE(recorded);
    auto path = (*recorded)["argv"][0].get<std::string>();
    auto method = path.substr(path.rfind('/') + 1);
    auto body = (*recorded)["stdin"].get<std::string>();
    for (int i = 0; i < 60; ++i, ++cases) {
      auto changed = body;
      for (int n = static_cast<int>(random() % 4); n >= 0 && !changed.empty(); --n) {
        auto at = random() % changed.size();
        switch (random() % 4) {
          case 0:
            changed[at] = static_cast<char>(random());
            break;
          case 1:
            changed.erase(at, 1 + random() % 8);
            break;
          case 2:
            changed.insert(at, changed.substr(random() % changed.size(), random() % 16));
            break;
          default:
            changed.resize(at);
        }
      }
      FakeHandler handler;
      auto answer = ask(handler, method, changed);
      if (answer.type == frame::Type::error)
        expect_error_form(answer.body);
      else
        EXPECT_TRUE(parse_json(answer.body)) << answer.body;
    }
    FakeHandler handler;
    auto answer = ask(handler, method, body);
    const auto* facts = find_method(method.data(), method.size());
    bool ours = facts != nullptr && (!facts->local || method == "Plugin.diagnostics");
    EXPECT_EQ(answer.type, ours ? frame::Type::result : frame::Type::error) << method << answer.body;
  }
  EXPECT_GT(cases, 6000);
}

}  // namespace
}  // namespace vnvme::smapi::testing
