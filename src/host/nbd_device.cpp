#include "host/nbd_device.hpp"

#include <sys/un.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <optional>

#include "host/block_devices.hpp"
#include "host/nbd_wire.hpp"
#include "host/text_file.hpp"
#include "host/with_deadline.hpp"

namespace vnvme::host {
namespace {

namespace asio = boost::asio;
using Socket = asio::local::stream_protocol::socket;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

constexpr std::uint64_t kZeroPiece = 64u << 20;   // one request that carries no data
constexpr std::uint64_t kByHandPiece = 1u << 20;  // zeroes sent as data

Error wire_error(const std::string& path, const std::string& step, const boost::system::error_code& error) {
  Error e;
  e.code = Errc::unreachable;
  e.outcome = Outcome::unknown;
  e.text = "NBD " + path + ": the connection broke: " + error.message();
  e.step = step;
  e.peer = "unix:" + path;
  e.native = error.value();
  return e;
}

class NbdDevice final : public BlockDevice {
 public:
  NbdDevice(std::string path, Socket socket) : path_(std::move(path)), socket_(std::move(socket)) {}
  NbdDevice(const NbdDevice&) = delete;
  NbdDevice& operator=(const NbdDevice&) = delete;
  // Closing is enough: the protocol allows it when no request is under way.
  ~NbdDevice() override = default;

  Task<Result<void>> open(Deadline deadline) { return guarded<void>(handshake(), deadline, "opening"); }

  [[nodiscard]] Bytes size() const override { return Bytes{export_.size}; }

  Task<Result<std::string>> read(std::uint64_t offset, std::size_t length, Deadline deadline) override {
    auto range = check_range(path_, offset, length, size(), kMaxTransfer);
    if (!range) co_return fail(std::move(range.error()));
    if (length == 0) co_return std::string();
    auto work = exchange(nbd::Command::read, offset, static_cast<std::uint32_t>(length), {});
    co_return co_await guarded<std::string>(std::move(work), deadline, "reading");
  }

  Task<Result<void>> write(std::uint64_t offset, std::string data, Deadline deadline) override {
    auto range = check_range(path_, offset, data.size(), size(), kMaxTransfer);
    if (range) range = writable();
    if (!range || data.empty()) co_return range;
    const auto length = static_cast<std::uint32_t>(data.size());
    auto work = exchange(nbd::Command::write, offset, length, std::move(data));
    auto answer = co_await guarded<std::string>(std::move(work), deadline, "writing");
    if (!answer) co_return fail(std::move(answer.error()));
    co_return Result<void>{};
  }

  Task<Result<void>> write_zeroes(std::uint64_t offset, std::uint64_t length, Deadline deadline) override {
    const bool offered = (export_.flags & nbd::kSendWriteZeroes) != 0;
    const std::uint64_t piece = offered ? kZeroPiece : kByHandPiece;
    auto range = check_range(path_, offset, length, size(), UINT64_MAX);
    if (range) range = writable();
    while (range && length > 0) {
      const std::uint64_t now = std::min(length, piece);
      if (offered)
        range = co_await simple(nbd::Command::write_zeroes, offset, now, deadline);
      else
        range = co_await write(offset, std::string(static_cast<std::size_t>(now), '\0'), deadline);
      offset += now;
      length -= now;
    }
    co_return range;
  }

  Task<Result<void>> discard(std::uint64_t offset, std::uint64_t length, Deadline deadline) override {
    auto range = check_range(path_, offset, length, size(), UINT64_MAX);
    if (range) range = writable();
    if (range && !(export_.flags & nbd::kSendTrim))
      range = fail(Errc::not_supported, path_ + " cannot discard");
    while (range && length > 0) {
      const std::uint64_t now = std::min(length, kZeroPiece);
      range = co_await simple(nbd::Command::trim, offset, now, deadline);
      offset += now;
      length -= now;
    }
    co_return range;
  }

  Task<Result<void>> flush(Deadline deadline) override {
    if (!(export_.flags & nbd::kSendFlush)) co_return Result<void>{};  // such a server keeps nothing back
    co_return co_await simple(nbd::Command::flush, 0, 0, deadline);
  }

 private:
  Result<void> writable() const {
    if (export_.flags & nbd::kReadOnly) return fail(Errc::not_permitted, path_ + " is read-only");
    return {};
  }

  Task<Result<void>> simple(nbd::Command command, std::uint64_t offset, std::uint64_t length,
                            Deadline deadline) {
    auto work = exchange(command, offset, static_cast<std::uint32_t>(length), {});
    auto answer = co_await guarded<std::string>(std::move(work), deadline, "writing");
    if (!answer) co_return fail(std::move(answer.error()));
    co_return Result<void>{};
  }

  // One at a time; and after a failure that leaves the stream in the middle of something, never again.
  template <class T>
  Task<Result<T>> guarded(Task<Result<T>> work, Deadline deadline, std::string what) {
    if (!socket_.is_open())
      co_return fail(Errc::unreachable, "NBD " + path_ + ": the connection broke earlier: open it anew");
    if (working_) co_return fail(Errc::busy, "NBD " + path_ + ": another call is under way");
    working_ = true;
    auto answer = co_await with_deadline(std::move(work), deadline, what + " NBD " + path_);
    working_ = false;
    const bool in_step = answer || answer.error().code == Errc::io || answer.error().code == Errc::no_space;
    if (!in_step) {
      boost::system::error_code ignored;
      socket_.close(ignored);
    }
    co_return answer;
  }

  Task<Result<void>> send(std::string bytes, std::string step) {
    auto [error, size] = co_await asio::async_write(socket_, asio::buffer(bytes), kTuple);
    if (error) co_return fail(wire_error(path_, step, error));
    co_return Result<void>{};
  }

  Task<Result<std::string>> receive(std::size_t length, std::string step) {
    std::string bytes(length, '\0');
    auto [error, size] = co_await asio::async_read(socket_, asio::buffer(bytes), kTuple);
    if (error) co_return fail(wire_error(path_, step, error));
    co_return bytes;
  }

  Task<Result<std::string>> exchange(nbd::Command command, std::uint64_t offset, std::uint32_t length,
                                     std::string data) {
    const std::uint64_t cookie = ++cookie_;
    auto sent = co_await send(nbd::request(command, cookie, offset, length) + data, "request");
    if (!sent) co_return fail(std::move(sent.error()));
    auto head = co_await receive(nbd::kReplySize, "answer");
    if (!head) co_return head;
    auto error = nbd::parse_reply(*head, cookie);
    if (!error) co_return fail(with_peer(std::move(error.error())));
    if (*error != 0) co_return fail(server_error(*error));
    if (command != nbd::Command::read) co_return std::string();
    co_return co_await receive(length, "data");
  }

  Error with_peer(Error e) const {
    e.peer = "unix:" + path_;
    e.outcome = Outcome::unknown;
    return e;
  }

  // NBD's numbers are Linux's; the request may have been done in part.
  Error server_error(std::uint32_t number) const {
    Error e = errno_error("the NBD server refused a request on", path_, static_cast<int>(number & 0xffff));
    if (number == ENOSPC) e.code = Errc::no_space;
    return with_peer(std::move(e));
  }

  Task<Result<void>> handshake() {
    auto greeting = co_await receive(nbd::kGreetingSize, "greeting");
    if (!greeting) co_return fail(std::move(greeting.error()));
    auto flags = nbd::parse_greeting(*greeting);
    if (!flags) co_return fail(with_peer(std::move(flags.error())));
    auto sent = co_await send(nbd::client_flags(*flags) + nbd::option_go(), "option");
    if (!sent) co_return sent;
    auto gone = co_await go();
    if (!gone) co_return fail(std::move(gone.error()));
    if (!*gone) {
      auto opened = co_await export_name((*flags & nbd::kHandshakeNoZeroes) == 0);
      if (!opened) co_return opened;
    }
    if (export_.size > kMaxBytes.value)
      co_return fail(with_peer({Errc::protocol, Outcome::unknown, "NBD: an impossible size"}));
    co_return Result<void>{};
  }

  // False: the server does not know NBD_OPT_GO.
  Task<Result<bool>> go() {
    bool informed = false;
    for (std::size_t n = 0; n < nbd::kMaxOptionReplies; ++n) {
      auto head = co_await receive(nbd::kOptionReplySize, "option");
      if (!head) co_return fail(std::move(head.error()));
      auto reply = nbd::parse_option_reply(*head, nbd::kOptGo);
      if (!reply) co_return fail(with_peer(std::move(reply.error())));
      auto data = co_await receive(reply->length, "option");
      if (!data) co_return fail(std::move(data.error()));
      if (reply->type == nbd::kRepErrUnsupported) co_return false;
      if (reply->type == nbd::kRepAck) {
        if (!informed)
          co_return fail(with_peer({Errc::protocol, Outcome::unknown, "NBD: the server told no size"}));
        co_return true;
      }
      if (reply->type != nbd::kRepInfo)
        co_return fail(
            with_peer({Errc::not_found, Outcome::unknown, "NBD: the server has no default export"}));
      if (auto info = nbd::parse_info(*data)) {
        export_ = *info;
        informed = true;
      }
    }
    co_return fail(with_peer({Errc::protocol, Outcome::unknown, "NBD: the server's answer has no end"}));
  }

  Task<Result<void>> export_name(bool padded) {
    auto sent = co_await send(nbd::option_export_name(), "option");
    if (!sent) co_return sent;
    auto reply = co_await receive(nbd::kExportReplySize + (padded ? nbd::kExportPadding : 0), "option");
    if (!reply) co_return fail(std::move(reply.error()));
    export_ = nbd::parse_export_reply(*reply);
    co_return Result<void>{};
  }

  std::string path_;
  Socket socket_;
  nbd::Export export_{0, 0};
  std::uint64_t cookie_ = 0;
  bool working_ = false;
};

Task<Result<void>> connect(Socket& socket, std::string path) {
  auto [error] = co_await socket.async_connect(asio::local::stream_protocol::endpoint(path), kTuple);
  if (error) {
    Error e = wire_error(path, "connect", error);
    e.outcome = Outcome::not_done;
    co_return fail(std::move(e));
  }
  co_return Result<void>{};
}

}  // namespace

Task<Result<std::unique_ptr<BlockDevice>>> open_nbd(std::string path, Deadline deadline) {
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    co_return fail(Errc::invalid_argument, path + " is too long for the address of a socket");
  auto executor = co_await asio::this_coro::executor;
  Socket socket(executor);
  auto connected = co_await with_deadline(connect(socket, path), deadline, "connecting to NBD " + path);
  if (!connected) co_return fail(std::move(connected.error()));
  auto device = std::make_unique<NbdDevice>(path, std::move(socket));
  auto opened = co_await device->open(deadline);
  if (!opened) co_return fail(std::move(opened.error()));
  co_return device;
}

}  // namespace vnvme::host
