#include "rpc/scan.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "core/json.hpp"
#include "rpc/codec.hpp"

namespace vnvme::rpc {
namespace {

std::vector<std::string> frames(FrameScanner& scanner) {
  std::vector<std::string> out;
  while (true) {
    auto frame = scanner.next();
    if (!frame || !*frame) return out;
    out.push_back(**frame);
  }
}

TEST(FrameScanner, OneFrameAByteAtATime) {
  FrameScanner scanner;
  std::string text = R"({"id":1,"result":{"a":["}{\"\\",2]}})";
  for (std::size_t i = 0; i < text.size(); ++i) {
    scanner.feed(text.substr(i, 1));
    auto frame = scanner.next();
    ASSERT_TRUE(frame) << i;
    ASSERT_EQ(frame->has_value(), i + 1 == text.size()) << i;
    if (*frame) {
      EXPECT_EQ(**frame, text);
    }
  }
  EXPECT_EQ(scanner.buffered(), 0u);
}

TEST(FrameScanner, TwoFramesAndAHalfInOnePacket) {
  FrameScanner scanner;
  scanner.feed("{\"id\":1}\n{\"id\":2} {\"id\"");
  EXPECT_EQ(frames(scanner), (std::vector<std::string>{R"({"id":1})", R"({"id":2})"}));
  scanner.feed(":3}");
  EXPECT_EQ(frames(scanner), (std::vector<std::string>{R"({"id":3})"}));
}

TEST(FrameScanner, FramesWithoutAnythingBetween) {
  FrameScanner scanner;
  scanner.feed("{}{}\r\n\t {}");
  EXPECT_EQ(frames(scanner).size(), 3u);
}

struct Violation {
  const char* name;
  std::string bytes;
};
class Violations : public testing::TestWithParam<Violation> {};

TEST_P(Violations, EndTheStreamForGood) {
  FrameScanner scanner({.frame_bytes = 4096, .string_bytes = 512, .depth = 64});
  scanner.feed(GetParam().bytes);
  auto frame = scanner.next();
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error().code, Errc::protocol);
  scanner.feed("{}");
  EXPECT_FALSE(scanner.next()) << "a broken stream must not recover by luck";
}

INSTANTIATE_TEST_SUITE_P(
    All, Violations,
    testing::Values(Violation{"array", "[1]"}, Violation{"number", "1"}, Violation{"text", "HTTP/1.0 200 OK"},
                    Violation{"closing", "}"}, Violation{"mismatch", "{\"a\":[}"},
                    Violation{"control", std::string("{\"a\0b\":1}", 8)}, Violation{"high", "{\xFF\xFE}"},
                    Violation{"deep", "{\"a\":" + std::string(70, '[')},
                    Violation{"long_string", "{\"a\":\"" + std::string(600, 'x')},
                    Violation{"long_frame", "{" + std::string(5000, ' ')}, Violation{"binary", "\x01\x02"}),
    [](const auto& one) { return std::string(one.param.name); });

TEST(FrameScanner, ThirtyThreeMebibytesAreTooMany) {
  FrameScanner scanner;
  scanner.feed("{\"result\":[");
  std::string block;
  for (int i = 0; i < 1 << 18; ++i) block += "123,";  // 1 MiB
  bool refused = false;
  std::size_t most = 0;
  for (int i = 0; i < 33 && !refused; ++i) {
    scanner.feed(block);
    refused = !scanner.next();
    most = std::max(most, scanner.buffered());
  }
  EXPECT_TRUE(refused);
  EXPECT_LE(most, (33u << 20) + 64);
}

TEST(FrameScanner, ThirtyTwoMebibytesMinusABitAreFine) {
  FrameScanner scanner;
  std::string text = "{\"result\":[" + std::string((31u << 20), ' ') + "]}";
  scanner.feed(text);
  auto frame = scanner.next();
  ASSERT_TRUE(frame && *frame);
  EXPECT_EQ((*frame)->size(), text.size());
}

// The plain inside of strings is skipped at once: where a packet ends must make no difference to that.
TEST(FrameScanner, PiecesMakeNoDifference) {
  const ScanLimits limits{.frame_bytes = 64, .string_bytes = 10, .depth = 4};
  auto outcome = [&limits](const std::string& text, std::size_t piece) {
    FrameScanner scanner(limits);
    std::string seen;
    for (std::size_t at = 0; at < text.size(); at += piece) {
      scanner.feed(text.substr(at, piece));
      for (auto frame = scanner.next(); true; frame = scanner.next()) {
        if (!frame) return seen + "violation";
        if (!*frame) break;
        seen += **frame + "|";
      }
    }
    return seen;
  };
  const std::string ten(10, 'x'), eleven(11, 'x');
  auto string = [](const std::string& inner) { return "{\"a\":\"" + inner + "\"}"; };
  const std::vector<std::pair<std::string, std::string>> cases = {
      {string(ten), string(ten) + "|"},
      {string(eleven), "violation"},
      {string("x\\\"y\\\\"), string("x\\\"y\\\\") + "|"},
      {string("x\ny"), "violation"},
      {string("\xC3\xA9") + "{}", string("\xC3\xA9") + "|{}|"},
      {"{\"a\":[\"" + ten + "\",\"" + ten + "\",\"" + ten + "\",\"" + ten + "\",\"" + ten + "\"]}",
       "violation"}};
  for (const auto& [text, expected] : cases)
    for (std::size_t piece = 1; piece <= text.size(); ++piece)
      EXPECT_EQ(outcome(text, piece), expected) << text << " in pieces of " << piece;
}

TEST(FrameScanner, DepthSixtyFourIsTheLast) {
  auto nested = [](std::size_t depth) {
    return "{\"a\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
  };
  FrameScanner fine, deep;
  fine.feed(nested(64));
  deep.feed(nested(65));
  EXPECT_TRUE(fine.next());
  EXPECT_FALSE(deep.next());
}

// The frame scanner never lets it come to these; others may use the brackets by themselves.
TEST(Brackets, RefuseWhatNoFrameBegins) {
  const ScanLimits generous{.depth = 1000};
  Brackets closing(generous), object(generous), deep(generous);
  EXPECT_EQ(closing.step(']'), Brackets::Step::bad);
  EXPECT_STREQ(closing.why(), "a bracket too many");
  EXPECT_EQ(object.step('}'), Brackets::Step::bad);
  Brackets text(generous);
  for (char c : std::string("\"ab\\\"")) EXPECT_EQ(text.step(c), Brackets::Step::more) << c;
  EXPECT_EQ(text.step('"'), Brackets::Step::end);
  for (int i = 0; i < 64; ++i) EXPECT_EQ(deep.step('['), Brackets::Step::more) << i;
  EXPECT_EQ(deep.step('['), Brackets::Step::bad) << "whatever the limit says: one machine word";
}

TEST(FrameScanner, BytesBeyondAsciiAreForStringsOnly) {
  for (const std::string& text : {std::string("{\x7F}"), std::string("{\x80}"), std::string("{\x1F}")}) {
    FrameScanner scanner;
    scanner.feed(text);
    EXPECT_FALSE(scanner.next()) << text;
  }
  FrameScanner scanner;
  scanner.feed("{\t\"\x7F\xC3\xA9\":\r\n1}");
  EXPECT_TRUE(scanner.next().value());
}

TEST(EachMember, CutsWithoutBuilding) {
  std::vector<std::pair<std::string, std::string>> seen;
  auto keep = [&seen](std::string_view key, std::string_view value) -> Result<void> {
    seen.emplace_back(key, value);
    return {};
  };
  ASSERT_TRUE(each_member(R"( { "a" : 1 , "b":{"c":[1,"}"]} ,"d": "x\"y" , "e":null } )", keep));
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_EQ(seen[0].second, "1");
  EXPECT_EQ(seen[1].second, R"({"c":[1,"}"]})");
  EXPECT_EQ(seen[2].second, R"("x\"y")");
  EXPECT_EQ(seen[3].first, "e");
  ASSERT_TRUE(each_member(" { } ", keep));
  EXPECT_EQ(seen.size(), 4u);
}

TEST(EachMember, RefusesWhatIsNoObject) {
  auto any = [](std::string_view, std::string_view) -> Result<void> { return {}; };
  for (const char* text :
       {"", "[]", "{", "{\"a\"}", "{\"a\":}", "{\"a\":1", "{\"a\":1,}", "{a:1}", "{\"a\":1}x",
        "{\"a\":1 \"b\":2}", "{\"a", "{\"a\":[1}", "{,}", "{\"a\"", "{\"a\":{", "{\"a\":[[", "{} x"})
    EXPECT_FALSE(each_member(text, any)) << text;
}

TEST(EachMember, StopsAtTheFirstError) {
  std::string seen;
  auto stop = [&seen](std::string_view key, std::string_view) -> Result<void> {
    seen += key;
    return fail(Errc::conflict, "no more");
  };
  auto stopped = each_member(R"({"a":1,"b":2})", stop);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, Errc::conflict);
  EXPECT_EQ(seen, "a");
}

TEST(EachElement, CutsAndRefuses) {
  std::vector<std::string> seen;
  auto keep = [&seen](std::string_view value) -> Result<void> {
    seen.emplace_back(value);
    return {};
  };
  ASSERT_TRUE(each_element(R"([1, "a,b" ,{"x":[]}, true])", keep));
  EXPECT_EQ(seen, (std::vector<std::string>{"1", "\"a,b\"", "{\"x\":[]}", "true"}));
  ASSERT_TRUE(each_element(" [ ] ", keep));
  for (const char* text : {"", "{}", "[", "[1", "[1,]", "[1 2]", "[]]", "[\"a]"})
    EXPECT_FALSE(each_element(text, keep)) << text;
}

TEST(EachElement, StopsAtTheFirstError) {
  int calls = 0;
  auto stop = [&calls](std::string_view) -> Result<void> {
    ++calls;
    return fail(Errc::protocol, "no");
  };
  EXPECT_FALSE(each_element("[1,2,3]", stop));
  EXPECT_EQ(calls, 1);
}

TEST(Request, LeavesEmptyParamsOut) {
  EXPECT_EQ(*encode_request(7, "spdk_get_version", nullptr),
            R"({"id":7,"jsonrpc":"2.0","method":"spdk_get_version"})");
  EXPECT_EQ(*encode_request(7, "spdk_get_version", Json::object()),
            R"({"id":7,"jsonrpc":"2.0","method":"spdk_get_version"})");
}

TEST(Request, IsPureAscii) {
  auto text = encode_request(1, "m", {{"name", "Z\xC3\xBCrich\xFF"}});
  ASSERT_TRUE(text);
  for (char c : *text) EXPECT_LT(static_cast<unsigned char>(c), 0x7F);
}

TEST(Request, RefusesWhatSpdkWouldResetOver) {
  EXPECT_TRUE(encode_request(1, "m", {{"name", std::string(30'000, 'x')}}));
  auto big = encode_request(1, "m", {{"name", std::string(33'000, 'x')}});
  ASSERT_FALSE(big);
  EXPECT_EQ(big.error().outcome, Outcome::not_done);
  EXPECT_FALSE(encode_request(1, "m", {{"list", Json(std::vector<int>(1100, 1))}}));
  EXPECT_FALSE(encode_request(1, "m", Json::array({1})));
}

TEST(AnswerDecoding, ResultErrorAndId) {
  auto good = decode_answer(R"({"jsonrpc":"2.0","id":12,"result":{"a":1}})");
  ASSERT_TRUE(good && good->payload);
  EXPECT_EQ(good->id, 12u);
  EXPECT_EQ(good->payload->result(), R"({"a":1})");
  EXPECT_FALSE(good->payload->error());
  auto bad = decode_answer(R"({"id":3,"error":{"code":17,"message":"Unknown error -17"}})");
  ASSERT_TRUE(bad && bad->payload && bad->payload->error());
  EXPECT_EQ(bad->payload->error()->code, 17);
}

TEST(AnswerDecoding, ResultNullAndFalseAreResults) {
  EXPECT_EQ(decode_answer(R"({"id":1,"result":null})")->payload->result(), "null");
  EXPECT_EQ(decode_answer(R"({"id":1,"error":null,"result":false})")->payload->result(), "false");
}

TEST(AnswerDecoding, StrangeIdsBelongToNobody) {
  for (const char* id : {"null", "\"1\"", "-1", "1.5", "99999999999999999999", "{}", "1e3", "",
                         "100000000000000000000000", "1:2"}) {
    auto text = std::string(R"({"id":)") + (*id == 0 ? "null" : id) + R"(,"result":true})";
    auto decoded = decode_answer(text);
    ASSERT_TRUE(decoded) << id;
    EXPECT_FALSE(decoded->id) << id;
  }
}

TEST(AnswerDecoding, WithoutAnIdItIsNobodys) {
  auto decoded = decode_answer(R"({"result":true})");
  ASSERT_TRUE(decoded && decoded->payload);
  EXPECT_FALSE(decoded->id);
}

TEST(AnswerDecoding, UnreadablePayloadIsUnknown) {
  for (const char* text :
       {R"({"id":1})", R"({"id":1,"error":5})", R"({"id":1,"error":{"code":"x","message":1}})",
        R"({"id":1,"error":{"code":-1}})"}) {
    auto decoded = decode_answer(text);
    ASSERT_TRUE(decoded) << text;
    ASSERT_FALSE(decoded->payload) << text;
    EXPECT_EQ(decoded->payload.error().outcome, Outcome::unknown) << text;
    EXPECT_EQ(decoded->id, 1u);
  }
}

TEST(AnswerDecoding, InvalidUtf8IsFoundByTheConsumer) {
  auto decoded = decode_answer("{\"id\":1,\"error\":{\"code\":-1,\"message\":\"\xC3\x28\"}}");
  ASSERT_TRUE(decoded);
  EXPECT_FALSE(decoded->payload);
}

}  // namespace
}  // namespace vnvme::rpc
