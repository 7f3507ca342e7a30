// Requests over HTTP: one connection for each, one at a time, nothing idle; the clock stands still.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <boost/asio/as_tuple.hpp>
#include <filesystem>
#include <fstream>

#include "core/json.hpp"
#include "rpc/asio/http.hpp"
#include "support/drive.hpp"

namespace vnvme::rpc {
namespace {

using std::chrono::seconds;

// What the card does with one request. Chunks of the answer, then the end, unless it goes silent.
struct Deed {
  std::string answer = {};
  bool silent = false;       // until held() is called
  std::size_t piece = 4096;  // bytes a read
};

struct Card {
  boost::asio::io_context& io;
  std::function<Deed(const std::string& method, std::uint64_t id)> act;
  std::vector<std::string> requests = {};  // whole, with header
  int connects = 0, open = 0, most_open = 0;
  MonoClock::duration connecting = {};  // how long it takes
  std::function<void()> held = {};      // lets the silent one speak
};

class CardStream final : public Stream {
 public:
  explicit CardStream(Card& card) : card_(card), wake_(card.io) {
    card_.most_open = std::max(card_.most_open, ++card_.open);
  }
  ~CardStream() override { close(); }
  Task<Result<std::size_t>> write_some(std::string_view bytes) override {
    if (closed_) co_return fail(Errc::cancelled, "closed");
    auto n = std::min<std::size_t>(bytes.size(), 100);
    request_ += bytes.substr(0, n);
    serve();
    co_return n;
  }
  Task<Result<std::size_t>> read_some(std::span<char> into) override {
    while (!closed_ && (out_.empty() && (!served_ || deed_.silent))) {
      wake_.expires_at(MonoClock::time_point::max());
      co_await wake_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    }
    if (closed_) co_return fail(Errc::cancelled, "closed");
    if (out_.empty()) co_return fail(Errc::unreachable, "the peer closed the connection");
    auto n = std::min({into.size(), out_.size(), deed_.piece});
    std::copy_n(out_.begin(), n, into.begin());
    out_.erase(0, n);
    co_return n;
  }
  void close() override {
    if (!closed_) --card_.open;
    closed_ = true;
    wake_.cancel();
  }

 private:
  void serve() {
    auto end = request_.find("\r\n\r\n");
    if (end == std::string::npos || served_) return;
    auto json = parse_json(std::string_view(request_).substr(end + 4));
    if (!json) return;
    card_.requests.push_back(request_);
    deed_ = card_.act(text_of(*json, "method").value_or(""), number_of(*json, "id").value_or(0));
    out_ = deed_.answer;
    served_ = true;
    wake_.cancel();
    if (!deed_.silent) return;
    out_.clear();
    card_.held = [this] {
      out_ = deed_.answer;
      deed_.silent = false;
      wake_.cancel();
    };
  }
  Card& card_;
  Deed deed_;
  Timer wake_;
  std::string request_, out_;
  bool served_ = false, closed_ = false;
};

class CardConnector final : public Connector {
 public:
  CardConnector(Card& card, bool& refuse) : card_(card), refuse_(refuse) {}
  Task<Result<std::unique_ptr<Stream>>> connect(Deadline) override {
    ++card_.connects;
    if (card_.connecting > MonoClock::duration::zero()) {
      Timer slow(card_.io, MonoClock::now() + card_.connecting);
      co_await slow.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    }
    if (refuse_) co_return fail(Errc::unreachable, "connect: Connection refused");
    std::unique_ptr<Stream> stream = std::make_unique<CardStream>(card_);
    co_return stream;
  }
  [[nodiscard]] const std::string& endpoint() const override { return endpoint_; }

 private:
  Card& card_;
  bool& refuse_;
  std::string endpoint_ = "tcp:127.0.0.1:8080";
};

std::string ok(std::uint64_t id, const std::string& result = "true") {
  return "HTTP/1.0 200 OK\r\nContent-type: text/html\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":" +
         std::to_string(id) + ",\"result\":" + result + "}\n";
}

class HttpSession : public testing::Test {
 protected:
  test::StillClock clock;
  boost::asio::io_context io;
  Card card{io, [](const std::string&, std::uint64_t id) { return Deed{ok(id)}; }};
  bool refuse = false;
  std::string dir, credentials;
  std::unique_ptr<Client> client;

  void SetUp() override {
    char name[] = "/tmp/vnvme-http-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir = name;
    credentials = dir + "/card";
    std::ofstream(credentials) << "user:pa55\n";
    ASSERT_EQ(chmod(credentials.c_str(), 0600), 0);
  }
  void TearDown() override {
    if (client) client->shutdown();
    test::settle(io);
    client.reset();
    std::error_code ignored;
    std::filesystem::remove_all(dir, ignored);
  }
  void begin() {
    HttpOptions options{.endpoint = "kalray:127.0.0.1:8080", .credentials = credentials};
    auto connector = make_http_connector(io, std::make_unique<CardConnector>(card, refuse), options);
    client = std::make_unique<Client>(io, std::move(connector), one_at_a_time({}));
    client->start([](Client::Ask ask, Deadline deadline) -> Task<Result<void>> {
      auto answer = co_await ask(0, "spdk_get_version", deadline);
      if (!answer) co_return fail(std::move(answer.error()));
      co_return Result<void>();
    });
    test::settle(io);
  }
  Result<Answer> call(std::string method, MonoClock::duration limit = seconds(10), std::size_t channel = 0) {
    auto done = test::drive<Result<Answer>>(
        io, [=, this] { return client->call(channel, method, nullptr, Deadline::after(limit)); });
    EXPECT_TRUE(done) << "the call never ended";
    return done ? std::move(*done) : fail(Errc::internal, "hangs");
  }
  void start_call(std::string method, std::vector<Result<Answer>>& ends, std::size_t channel) {
    boost::asio::co_spawn(
        io, [=, this] { return client->call(channel, method, nullptr, Deadline::after(seconds(10))); },
        [&ends](std::exception_ptr, Result<Answer> a) { ends.push_back(std::move(a)); });
  }
};

TEST_F(HttpSession, EachRequestHasItsOwnConnection) {
  begin();
  ASSERT_TRUE(client->connected()) << client->trouble();
  ASSERT_TRUE(call("a"));
  ASSERT_TRUE(call("b", seconds(10), 1)) << "both channels are one";
  EXPECT_EQ(card.connects, 3);
  EXPECT_EQ(card.open, 0) << "an idle connection would block the card for everybody";
  EXPECT_EQ(card.most_open, 1);
  for (const auto& request : card.requests) {
    EXPECT_TRUE(request.starts_with("POST / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n")) << request;
    EXPECT_NE(request.find("\r\nAuthorization: Basic dXNlcjpwYTU1\r\n"), std::string::npos);
  }
}
TEST_F(HttpSession, ManyCallsAtOnceGoOneByOne) {
  begin();
  std::vector<Result<Answer>> ends;
  for (std::size_t i = 0; i < 20; ++i) start_call("m" + std::to_string(i), ends, i % 2);
  test::settle(io);
  ASSERT_EQ(ends.size(), 20u);
  for (const auto& end : ends) EXPECT_TRUE(end) << end.error().describe();
  EXPECT_EQ(card.most_open, 1);
  EXPECT_EQ(card.open, 0);
}
TEST_F(HttpSession, ARefusalOfTheTargetIsAnAnswer) {
  begin();
  card.act = [](const std::string&, std::uint64_t id) {
    return Deed{"HTTP/1.0 200 OK\r\n\r\n{\"id\":" + std::to_string(id) +
                ",\"error\":{\"code\":-19,\"message\":\"No such device\"}}"};
  };
  auto answer = call("a");
  ASSERT_TRUE(answer) << answer.error().describe();
  EXPECT_EQ(answer->error()->code, -19);
  EXPECT_TRUE(client->connected());
}
TEST_F(HttpSession, WhatCouldNotBeSentDidNotHappen) {
  begin();
  refuse = true;
  auto answer = call("change");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().outcome, Outcome::not_done) << answer.error().describe();
  EXPECT_FALSE(client->connected());
  refuse = false;
  auto up = test::drive<Result<std::uint64_t>>(
      io, [this] { return client->wait_generation(1, Deadline::after(seconds(60))); });
  ASSERT_TRUE(up && *up);
  EXPECT_TRUE(call("a"));
}

struct Broken {
  const char* name;
  std::string answer = {};
  Errc code;
};
class HttpBroken : public HttpSession, public testing::WithParamInterface<Broken> {};
TEST_P(HttpBroken, EndsTheSessionAndLeavesTheOutcomeOpen) {
  begin();
  bool once = true;
  card.act = [&once](const std::string& method, std::uint64_t id) {
    if (method != "change" || !std::exchange(once, false)) return Deed{ok(id)};
    return Deed{GetParam().answer};
  };
  auto answer = call("change");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, GetParam().code) << answer.error().describe();
  EXPECT_EQ(answer.error().outcome, Outcome::unknown);
  auto up = test::drive<Result<std::uint64_t>>(
      io, [this] { return client->wait_generation(1, Deadline::after(seconds(60))); });
  ASSERT_TRUE(up && *up) << "it is tried again, and looked at first";
  EXPECT_TRUE(call("change"));
  EXPECT_EQ(card.open, 0);
}
INSTANTIATE_TEST_SUITE_P(
    Http, HttpBroken,
    testing::Values(Broken{"empty_reply", "", Errc::unreachable},
                    Broken{"empty_body", "HTTP/1.0 200 OK\r\n\r\n", Errc::unreachable},
                    Broken{"half_a_header", "HTTP/1.0 200 O", Errc::unreachable},
                    Broken{"half_a_body", "HTTP/1.0 200 OK\r\n\r\n{\"id\":1,\"res", Errc::unreachable},
                    Broken{"garbage", "\x01\x02nonsense\r\n\r\n", Errc::protocol},
                    Broken{"html", "HTTP/1.0 200 OK\r\n\r\n<html>hello</html>", Errc::protocol},
                    Broken{"server_error", "HTTP/1.0 500 Internal Server Error\r\n\r\n", Errc::protocol},
                    Broken{"unauthorized", "HTTP/1.0 401 Unauthorized\r\n\r\n", Errc::not_permitted}),
    [](const auto& one) { return std::string(one.param.name); });

TEST_F(HttpSession, ASilentCardIsLeftAfterAWhileAndFoundAgain) {
  begin();
  bool silent = true;
  card.act = [&silent](const std::string& method, std::uint64_t id) {
    if (method == "change" && silent) return Deed{.silent = true};
    return Deed{ok(id)};
  };
  auto keep = std::make_shared<int>(1);
  std::weak_ptr<int> kept = keep;
  auto answer = test::drive<Result<Answer>>(
      io, [this, keep] { return client->call(1, "change", nullptr, Deadline::after(seconds(10)), keep); });
  keep.reset();
  ASSERT_TRUE(answer && !*answer);
  EXPECT_EQ(answer->error().code, Errc::timeout);
  EXPECT_EQ(answer->error().outcome, Outcome::unknown);
  EXPECT_FALSE(kept.expired()) << "the lane stays shut while the card may be at work on it";
  EXPECT_EQ(card.open, 1) << "nobody hangs up on the card before its time";
  silent = false;
  auto up = test::drive<Result<std::uint64_t>>(
      io, [this] { return client->wait_generation(1, Deadline::after(seconds(120))); });
  ASSERT_TRUE(up && *up) << client->trouble();
  EXPECT_TRUE(kept.expired());
  EXPECT_TRUE(call("change"));
  EXPECT_EQ(card.open, 0);
}
TEST_F(HttpSession, ASlowRequestKeepsTheOthersFromTheCard) {
  begin();
  card.act = [](const std::string& method, std::uint64_t id) {
    return Deed{.answer = ok(id), .silent = method == "slow"};
  };
  std::vector<Result<Answer>> slow, behind;
  start_call("slow", slow, 0);
  test::settle(io);
  start_call("behind", behind, 1);
  test::settle(io);
  EXPECT_EQ(card.most_open, 1);
  MonoClock::advance(seconds(11));
  test::settle(io);
  ASSERT_EQ(slow.size(), 1u);
  ASSERT_EQ(behind.size(), 1u);
  ASSERT_FALSE(slow[0] || behind[0]);
  EXPECT_EQ(slow[0].error().outcome, Outcome::unknown);
  EXPECT_EQ(behind[0].error().outcome, Outcome::not_done) << "it never left us";
  EXPECT_EQ(card.requests.size(), 2u);
  // The card comes back before it is given up: the session goes on.
  ASSERT_NE(card.held, nullptr);
  card.held();
  test::settle(io);
  EXPECT_EQ(client->generation(), 1u);
  EXPECT_EQ(client->counters().late, 1u);
  card.act = [](const std::string&, std::uint64_t id) { return Deed{ok(id)}; };
  EXPECT_TRUE(call("next"));
  EXPECT_EQ(card.open, 0);
}
TEST_F(HttpSession, ARequestGivenUpBeforeItIsSentLeavesNothingOpen) {
  begin();
  auto late = call("a", seconds(0));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().outcome, Outcome::not_done);
  test::settle(io);
  EXPECT_EQ(card.open, 0);
}
TEST_F(HttpSession, ARequestGivenUpWhileItConnectsLeavesNothingOpen) {
  begin();
  const auto sent = card.requests.size();
  card.connecting = seconds(1);
  auto late = call("a", std::chrono::milliseconds(500));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().outcome, Outcome::not_done);
  MonoClock::advance(seconds(1));
  test::settle(io);
  EXPECT_EQ(card.requests.size(), sent) << "nobody asks for it any more";
  EXPECT_EQ(card.open, 0) << "an idle connection would block the card for everybody";
  card.connecting = {};
  EXPECT_TRUE(call("b"));
  EXPECT_EQ(client->generation(), 1u);
}
TEST_F(HttpSession, WithoutUsableCredentialsItSaysWhy) {
  ASSERT_EQ(chmod(credentials.c_str(), 0644), 0);
  begin();
  EXPECT_FALSE(client->connected());
  EXPECT_NE(client->trouble().find("0644"), std::string::npos) << client->trouble();
  EXPECT_EQ(client->trouble().find("pa55"), std::string::npos);
  EXPECT_EQ(card.connects, 0);
  ASSERT_EQ(chmod(credentials.c_str(), 0600), 0);
  auto up = test::drive<Result<std::uint64_t>>(
      io, [this] { return client->wait_generation(0, Deadline::after(seconds(60))); });
  ASSERT_TRUE(up && *up) << "a repaired file needs no restart";
}
TEST_F(HttpSession, ARefusedPasswordIsNamedAndNotShown) {
  card.act = [](const std::string&, std::uint64_t) { return Deed{"HTTP/1.0 401 Unauthorized\r\n\r\n"}; };
  begin();
  EXPECT_FALSE(client->connected());
  EXPECT_NE(client->trouble().find("user and password are refused"), std::string::npos) << client->trouble();
  EXPECT_EQ(client->trouble().find("dXNlcjpwYTU1"), std::string::npos);
}
TEST_F(HttpSession, ShutdownEndsWhatIsAwaited) {
  begin();
  card.act = [](const std::string&, std::uint64_t) { return Deed{.silent = true}; };
  std::vector<Result<Answer>> ends;
  start_call("a", ends, 0);
  test::settle(io);
  EXPECT_TRUE(ends.empty());
  client->shutdown();
  test::settle(io);
  ASSERT_EQ(ends.size(), 1u);
  ASSERT_FALSE(ends[0]);
  EXPECT_EQ(ends[0].error().code, Errc::cancelled);
  EXPECT_EQ(ends[0].error().outcome, Outcome::unknown);
  EXPECT_EQ(card.open, 0);
}

}  // namespace
}  // namespace vnvme::rpc
