// HTTP answers in every form and cut, and what they mean to a client of JSON-RPC.
#include "rpc/http.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace vnvme::rpc {
namespace {

const std::string kAnswer = R"({"jsonrpc":"2.0","id":1,"result":[1,2]})";

struct Reading {
  ScanLimits scan = {};
  std::size_t header = 512, body = 4096;
  std::size_t piece = SIZE_MAX;  // bytes at a time
  bool eof = true;

  Result<std::string> operator()(std::string_view bytes) const {
    ResponseReader reader({.header = header, .body = body});
    for (std::size_t at = 0; at < bytes.size() && !reader.done(); at += std::min(piece, bytes.size() - at)) {
      auto fed = reader.feed(bytes.substr(at, piece));
      if (!fed) return fail(fed.error());
    }
    if (eof)
      if (auto whole = reader.end(); !whole) return fail(whole.error());
    return frame_of(reader, scan);
  }
};

std::string simple(const std::string& status, const std::string& body, const std::string& more = "") {
  return "HTTP/1.0 " + status + "\r\nServer: BaseHTTP/0.6 Python/3.11.2\r\n" + more +
         "Content-type: text/html\r\n\r\n" + body;
}
std::string chunked(const std::string& body, std::size_t size) {
  std::string out = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  char head[32];
  for (std::size_t at = 0; at < body.size(); at += size) {
    auto part = body.substr(at, size);
    std::snprintf(head, sizeof head, "%zx\r\n", part.size());
    out += head + part + "\r\n";
  }
  return out + "0\r\n\r\n";
}

TEST(HttpAnswer, EndsWithTheConnection) {
  auto frame = Reading{}(simple("200 OK", kAnswer + "\n"));
  ASSERT_TRUE(frame) << frame.error().describe();
  EXPECT_EQ(*frame, kAnswer);
}
TEST(HttpAnswer, EndsAtItsLength) {
  auto length = "Content-Length: " + std::to_string(kAnswer.size()) + "\r\n";
  auto frame = Reading{.eof = false}(simple("200 OK", kAnswer, length));
  ASSERT_TRUE(frame) << frame.error().describe();
  EXPECT_EQ(*frame, kAnswer);
}
TEST(HttpAnswer, MayHaveWhiteSpaceAroundIt) {
  for (const auto* space : {" ", "\t", "\n", "\r\n", "\r\n \t"}) {
    auto frame = Reading{}(simple("200 OK", space + kAnswer + space));
    ASSERT_TRUE(frame) << frame.error().describe();
    EXPECT_EQ(*frame, kAnswer);
  }
}
TEST(HttpAnswer, WithMoreBehindItsEndIsRefused) {
  auto length = "Content-Length: " + std::to_string(kAnswer.size()) + "\r\n";
  for (const auto& text : {simple("200 OK", kAnswer, length), chunked(kAnswer, 9)}) {
    ResponseReader reader({.header = 512, .body = 4096});
    auto fed = reader.feed(text + "HTTP/1.0 200 OK\r\n\r\n");
    ASSERT_FALSE(fed) << "it would be taken for the answer to the next request";
    EXPECT_EQ(fed.error().code, Errc::protocol);
    EXPECT_EQ(fed.error().outcome, Outcome::unknown);
  }
}
TEST(HttpAnswer, ComesInChunks) {
  for (std::size_t size : {1u, 7u, 4000u}) {
    auto frame = Reading{.eof = false}(chunked(kAnswer, size));
    ASSERT_TRUE(frame) << frame.error().describe();
    EXPECT_EQ(*frame, kAnswer);
  }
}
TEST(HttpAnswer, ComesByteByByte) {
  for (const auto& text : {simple("200 OK", kAnswer), chunked(kAnswer, 5)}) {
    auto frame = Reading{.piece = 1}(text);
    ASSERT_TRUE(frame) << frame.error().describe();
    EXPECT_EQ(*frame, kAnswer);
  }
}

// Wherever it is cut, it is an error that leaves the outcome open; an answer without a length, cut behind its
// last bracket, is whole.
TEST(HttpAnswer, CutAnywhereIsNoAnswer) {
  auto length = "Content-Length: " + std::to_string(kAnswer.size()) + "\r\n";
  int cuts = 0;
  for (const auto& text : {simple("200 OK", kAnswer), simple("200 OK", kAnswer, length), chunked(kAnswer, 9)})
    for (std::size_t n = 0; n < text.size(); ++n, ++cuts) {
      auto frame = Reading{}(std::string_view(text).substr(0, n));
      ASSERT_FALSE(frame) << text.substr(0, n);
      EXPECT_EQ(frame.error().outcome, Outcome::unknown) << n << ": " << frame.error().describe();
    }
  std::printf("%d cuts\n", cuts);
}

TEST(HttpAnswer, Unauthorized) {
  for (const auto* status : {"401 Unauthorized", "403 Forbidden"}) {
    auto frame = Reading{}(simple(status, "", "WWW-Authenticate: text/html\r\n"));
    ASSERT_FALSE(frame);
    EXPECT_EQ(frame.error().code, Errc::not_permitted);
    EXPECT_EQ(frame.error().outcome, Outcome::not_done);
    EXPECT_EQ(frame.error().native, std::stoi(status));
  }
}
TEST(HttpAnswer, OtherStatusesSayTheirNumberAndNothingElse) {
  for (const auto* status :
       {"500 Internal Server Error", "501 Unsupported method ('PUT')", "302 Found", "204 x"}) {
    auto frame = Reading{}(simple(status, std::string(status).starts_with("5") ? "<html>oh</html>" : ""));
    ASSERT_FALSE(frame) << status;
    EXPECT_EQ(frame.error().code, Errc::protocol);
    EXPECT_EQ(frame.error().outcome, Outcome::unknown);
    EXPECT_EQ(frame.error().native, std::stoi(status));
  }
}
TEST(HttpAnswer, AnEmptyReplyProvesNothing) {
  for (const auto& text : {std::string(), simple("200 OK", ""), simple("200 OK", " \r\n")}) {
    auto frame = Reading{}(text);
    ASSERT_FALSE(frame);
    EXPECT_EQ(frame.error().code, Errc::unreachable);
    EXPECT_EQ(frame.error().outcome, Outcome::unknown);
  }
}
TEST(HttpAnswer, GarbageIsRefused) {
  const std::vector<std::string> wrong{
      "\x01\xFFnonsense",
      "SSH-2.0-OpenSSH_9.2\r\n",
      simple("200 OK", "hello"),
      simple("200 OK", "[1]"),
      simple("200 OK", kAnswer + kAnswer),  // a second one would be taken for the next answer
      simple("200 OK", R"({"a":[}])"),
      simple("200 OK", "{\"a\":\"\x01\"}"),
      simple("200 OK", "{\"a\":\xFF}"),
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n" + kAnswer,
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{\"a\":1}"};
  for (const auto& text : wrong) {
    auto frame = Reading{}(text);
    ASSERT_FALSE(frame) << text;
    EXPECT_EQ(frame.error().outcome, Outcome::unknown) << text;
  }
}
TEST(HttpAnswer, IsBounded) {
  EXPECT_FALSE(Reading{}(simple("200 OK", "{\"a\":\"" + std::string(5000, 'x') + "\"}")));
  EXPECT_FALSE(Reading{}(chunked("{\"a\":\"" + std::string(5000, 'x') + "\"}", 100)));
  EXPECT_FALSE(Reading{}(simple("200 OK", kAnswer, "Content-Length: 5000\r\n")));
  EXPECT_FALSE(Reading{}(simple("200 OK", kAnswer, "X-Filler: " + std::string(600, 'x') + "\r\n")));
  Reading deep;
  deep.scan.depth = 4;
  EXPECT_FALSE(deep(simple("200 OK", R"({"a":[[[[1]]]]})")));
  Reading small;
  small.scan.frame_bytes = 20;
  EXPECT_FALSE(small(simple("200 OK", kAnswer)));
}
TEST(HttpAnswer, OfFiveMegabytesIsTaken) {
  std::string big = "{\"id\":1,\"result\":[";
  while (big.size() < (5u << 20)) big += "\"0123456789abcdef0123456789abcdef\",";
  big += "0]}";
  Reading reading{.body = 32u << 20, .piece = 1000};
  auto frame = reading(simple("200 OK", big + "\n"));
  ASSERT_TRUE(frame) << frame.error().describe();
  EXPECT_EQ(*frame, big);
}
TEST(HttpAnswer, ReadTooEarlyIsOurBug) {
  ResponseReader reader({});
  auto frame = frame_of(reader, {});
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error().code, Errc::internal);
}

TEST(HttpRequest, NamesHostAndLength) {
  EXPECT_EQ(post_line("10.0.0.1:8080"), "POST / HTTP/1.1\r\nHost: 10.0.0.1:8080\r\n");
  auto header = post_header(17);
  EXPECT_NE(header.find("Content-Length: 17\r\n"), std::string::npos);
  EXPECT_NE(header.find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(header.ends_with("\r\n\r\n"));
}

}  // namespace
}  // namespace vnvme::rpc
