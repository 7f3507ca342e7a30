#include "xapi/channel.hpp"

#include <vector>

namespace vnvme::xapi {

// Counts a request and takes its stream out of the list, however the coroutine ends.
class Channel::Registered {
 public:
  Registered(Channel& channel, rpc::Stream* stream) : channel_(channel), stream_(stream) {
    if (stream_ != nullptr) channel_.open_.insert(stream_);
    if (stream_ == nullptr) ++channel_.running_;
  }
  ~Registered() {
    if (stream_ != nullptr) channel_.open_.erase(stream_);
    if (stream_ == nullptr) --channel_.running_;
  }
  Registered(const Registered&) = delete;
  Registered& operator=(const Registered&) = delete;

 private:
  Channel& channel_;
  rpc::Stream* stream_;
};

Channel::Channel(boost::asio::io_context& io, std::unique_ptr<rpc::Connector> connector, Options options)
    : io_(io), connector_(std::move(connector)), options_(std::move(options)) {}

Task<Result<std::string>> Channel::post(std::string body, Deadline deadline) {
  if (stopped_) co_return fail(Errc::cancelled, "the XAPI client was shut down");
  if (running_ >= options_.requests)
    co_return fail(Errc::busy, std::to_string(running_) + " requests to XAPI are under way already");
  if (deadline.passed()) co_return fail(Errc::timeout, "the deadline passed before it could be sent");
  Registered counted(*this, nullptr);
  auto connected = co_await connector_->connect(deadline.capped(options_.connect));
  if (!connected) co_return fail(std::move(connected.error()));
  if (stopped_) co_return fail(Errc::cancelled, "the XAPI client was shut down");
  // shared_ptr: the handler of the timer below may be queued already when the request ends, and runs after
  // us.
  std::shared_ptr<rpc::Stream> stream = std::move(*connected);
  Registered opened(*this, stream.get());
  std::weak_ptr<rpc::Stream> weak = stream;
  Timer timer(io_, deadline.at());
  timer.async_wait([weak](boost::system::error_code why) {
    auto alive = weak.lock();
    if (!why && alive) alive->close();
  });
  auto answer = co_await talk(stream, std::move(body), deadline);
  timer.cancel();
  stream->close();
  if (!answer && stopped_) answer.error().code = Errc::cancelled;
  co_return answer;
}

Task<Result<void>> Channel::send(std::shared_ptr<rpc::Stream> stream, std::string text, Deadline deadline) {
  std::size_t sent = 0;
  while (sent < text.size()) {
    auto n = co_await stream->write_some(std::string_view(text).substr(sent));
    if (!n && deadline.passed()) co_return fail(Errc::timeout, "XAPI did not take the request");
    // Content-Length says how long a request is: XAPI does not act on a part of one.
    if (!n) co_return fail(Errc::unreachable, "write: " + n.error().text);
    sent += *n;
  }
  co_return Result<void>();
}

Task<Result<std::string>> Channel::talk(std::shared_ptr<rpc::Stream> stream, std::string body,
                                        Deadline deadline) {
  auto request = post_request(options_.path, body);
  auto sent = co_await send(stream, std::move(request), deadline);
  if (!sent) co_return fail(std::move(sent.error()));
  ResponseReader reader(options_.limits);
  std::vector<char> buffer(64u << 10);
  while (!reader.done()) {
    std::span<char> into(buffer);
    auto n = co_await stream->read_some(into);
    if (!n && deadline.passed())
      co_return fail(Errc::timeout, "XAPI did not answer before the deadline", Outcome::unknown);
    if (!n && n.error().code == Errc::unreachable) {
      auto ended = reader.end();
      if (!ended) co_return fail(std::move(ended.error()));
      break;
    }
    if (!n) co_return fail(n.error().code, "read: " + n.error().text, Outcome::unknown);
    auto fed = reader.feed(std::string_view(buffer.data(), *n));
    if (!fed) co_return fail(std::move(fed.error()));
  }
  co_return body_of(reader);
}

void Channel::shutdown() {
  stopped_ = true;
  auto all = open_;  // closing may end a request, which takes itself out
  for (auto* stream : all)
    if (open_.contains(stream)) stream->close();
}

}  // namespace vnvme::xapi
