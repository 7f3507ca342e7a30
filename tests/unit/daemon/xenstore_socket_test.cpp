#include "host/xenstore_socket.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "server_fixture.hpp"

namespace vnvme::host {
namespace {

using daemon::Fd;
using namespace std::chrono_literals;

std::string message(std::uint32_t type, const std::string& body, std::uint32_t length) {
  std::uint32_t head[4] = {type, 0, 0, length};
  return std::string(reinterpret_cast<const char*>(head), sizeof head) + body;
}
std::string message(std::uint32_t type, const std::string& body) {
  return message(type, body, static_cast<std::uint32_t>(body.size()));
}

// A xenstored that answers what the test says, as often as it is asked.
class XenstoreTest : public daemon::ServerTest {
 protected:
  XenstoreTest() : listener(listen()), xenstore(path()) {}
  template <class T>
  Result<T> get(Task<Result<T>> work) {
    std::optional<Result<T>> answer;
    boost::asio::co_spawn(
        io, [&answer, work = std::move(work)]() mutable -> Task<void> { answer = co_await std::move(work); },
        boost::asio::detached);
    for (int i = 0; i < 8 && !answer; ++i) {
      settle();
      serve();
    }
    if (!answer) advance(6s);
    if (!answer) return fail(Errc::internal, "it has not ended at its deadline");
    return std::move(*answer);
  }
  void serve() {
    int fd = 0;
    while ((fd = ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
      peers.emplace_back(fd);
    for (Fd& peer : peers) {
      char question[5000];
      ssize_t n = peer.get() >= 0 ? ::recv(peer.get(), question, sizeof question, 0) : -1;
      if (n <= 0) continue;
      asked.emplace_back(question, static_cast<std::size_t>(n));
      (void)!::send(peer.get(), answer_text.data(), answer_text.size(), MSG_NOSIGNAL);
      if (hang_up) peer = Fd();
    }
  }
  Deadline soon() { return Deadline::after(5s); }

  Fd listener;
  XenstoreSocket xenstore;
  std::vector<Fd> peers;
  std::vector<std::string> asked;
  std::string answer_text;
  bool hang_up = false;
};

TEST_F(XenstoreTest, ReadsAKey) {
  answer_text = message(2, "/vm/1b4e28ba");
  auto got = get(xenstore.read("/local/domain/7/vm", soon()));
  ASSERT_TRUE(got.has_value()) << got.error().text;
  EXPECT_EQ(*got, "/vm/1b4e28ba");
  EXPECT_EQ(asked.front(), message(2, std::string("/local/domain/7/vm\0", 19)));
}

TEST_F(XenstoreTest, ListsAFolder) {
  answer_text = message(1, std::string("0\0"
                                       "7\0"
                                       "12\0",
                                       7));
  EXPECT_EQ(get(xenstore.list("/local/domain", soon())).value(), (std::vector<std::string>{"0", "7", "12"}));
  EXPECT_EQ(asked.front().substr(0, 4), std::string("\1\0\0\0", 4));
  answer_text = message(1, "");
  EXPECT_TRUE(get(xenstore.list("/local/domain", soon())).value().empty());
}

TEST_F(XenstoreTest, AbsenceIsAPositiveAnswer) {
  answer_text = message(16, std::string("ENOENT\0", 7));
  auto got = get(xenstore.read("/local/domain/9/vm", soon()));
  ASSERT_TRUE(got.has_value());
  EXPECT_FALSE(got->has_value());
  EXPECT_TRUE(get(xenstore.list("/x", soon())).value().empty());
}

TEST_F(XenstoreTest, EveryDoubtIsAnError) {
  for (const std::string& bad :
       {message(16, std::string("EACCES\0", 7)), message(16, std::string("E2BIG\0", 6)), message(99, "x"),
        message(2, "", 4097), message(2, "short", 60), std::string("garbage"), message(1, "no end")}) {
    answer_text = bad;
    hang_up = true;
    EXPECT_FALSE(get(xenstore.list("/local/domain", soon())).has_value()) << bad.size();
  }
  answer_text = message(2, "short", 60);
  EXPECT_FALSE(get(xenstore.read("/k", soon())).has_value());
}

TEST_F(XenstoreTest, SilenceEndsAtTheDeadline) {
  auto got = get(xenstore.read("/k", soon()));
  ASSERT_FALSE(got.has_value());
  EXPECT_EQ(got.error().code, Errc::timeout);
}

TEST_F(XenstoreTest, NobodyThereIsUnreachable) {
  XenstoreSocket nowhere(directory.file("nowhere"));
  auto got = get(nowhere.read("/k", soon()));
  ASSERT_FALSE(got.has_value());
  EXPECT_EQ(got.error().code, Errc::unreachable);
  XenstoreSocket too_long("/" + std::string(200, 'x'));
  EXPECT_FALSE(get(too_long.read("/k", soon())).has_value());
  EXPECT_FALSE(get(xenstore.read("/" + std::string(4000, 'k'), soon())).has_value());
  EXPECT_FALSE(get(xenstore.read(std::string("/a\0b", 4), soon())).has_value());
}

}  // namespace
}  // namespace vnvme::host
