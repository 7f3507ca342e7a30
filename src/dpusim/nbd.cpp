#include "dpusim/nbd.hpp"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/endian/conversion.hpp>
#include <cerrno>
#include <cstring>
#include <set>

namespace vnvme::sim {
namespace asio = boost::asio;
using Socket = asio::local::stream_protocol::socket;

// Numbers are those of the NBD protocol document (doc/proto.md of the NBD project).
namespace {

constexpr std::uint64_t kMagic = 0x4e42444d41474943, kOptionMagic = 0x49484156454f5054,
                        kOptionReply = 0x3e889045565a9;
constexpr std::uint32_t kRequest = 0x25609513, kSimpleReply = 0x67446698;
constexpr std::uint16_t kFixedNewstyle = 1, kNoZeroes = 2;
constexpr std::uint32_t kOptExportName = 1, kOptAbort = 2, kOptList = 3, kOptInfo = 6, kOptGo = 7;
constexpr std::uint32_t kRepAck = 1, kRepServer = 2, kRepInfo = 3, kRepUnsupported = 0x80000001,
                        kRepInvalid = 0x80000003;
constexpr std::uint16_t kHasFlags = 1, kReadOnly = 2, kSendFlush = 4, kSendFua = 8, kSendTrim = 32,
                        kSendWriteZeroes = 64, kMultiConn = 256;
constexpr std::uint16_t kCmdRead = 0, kCmdWrite = 1, kCmdDisc = 2, kCmdFlush = 3, kCmdTrim = 4,
                        kCmdWriteZeroes = 6;
constexpr std::uint32_t kMostData = 32u << 20, kMostOption = 4096;

template <class T>
void put(std::string& out, T value) {
  value = boost::endian::native_to_big(value);
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
template <class T>
T take(const char*& at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  at += sizeof value;
  return boost::endian::big_to_native(value);
}

std::uint32_t nbd_errno(int error) {
  switch (error) {
    case 0:
    case EPERM:
    case EIO:
    case ENOMEM:
    case EINVAL:
    case ENOSPC:
      return static_cast<std::uint32_t>(error);
    default:
      return EIO;
  }
}

}  // namespace

struct NbdServer::Export {
  Export(asio::io_context& io, std::string bdev_name, std::string socket_path)
      : acceptor(io), bdev(std::move(bdev_name)), path(std::move(socket_path)) {}
  asio::local::stream_protocol::acceptor acceptor;
  std::string bdev, path;
  bool open = true;
  std::set<Socket*> clients;
};

namespace {

// One client. Ends at the first thing that is not NBD, and when the export is closed.
class Session {
 public:
  Session(Target& target, Socket& socket, std::string bdev)
      : target_(target), socket_(socket), bdev_(std::move(bdev)) {}

  asio::awaitable<void> run() {
    std::string hello;
    put(hello, kMagic);
    put(hello, kOptionMagic);
    put(hello, static_cast<std::uint16_t>(kFixedNewstyle | kNoZeroes));
    if (!co_await send(hello)) co_return;
    auto flags = co_await receive(4);
    if (flags.size() != 4) co_return;
    const char* at = flags.data();
    no_zeroes_ = (take<std::uint32_t>(at) & kNoZeroes) != 0;
    while (true) {
      bool more = co_await option();
      if (!more) break;
    }
    while (transmitting_) {
      bool more = co_await command();
      if (!more) break;
    }
  }

 private:
  asio::awaitable<bool> send(std::string text) {
    boost::system::error_code error;
    co_await asio::async_write(socket_, asio::buffer(text), asio::redirect_error(asio::use_awaitable, error));
    co_return !error;
  }
  // Exactly n bytes, or none when the peer is gone.
  asio::awaitable<std::string> receive(std::size_t n) {
    std::string bytes(n, '\0');
    boost::system::error_code error;
    co_await asio::async_read(socket_, asio::buffer(bytes), asio::redirect_error(asio::use_awaitable, error));
    if (error) bytes.clear();
    co_return bytes;
  }
  [[nodiscard]] Bdev* device() const { return target_.bdevs.find(bdev_); }
  [[nodiscard]] std::uint16_t flags() const {
    Bdev* bdev = device();
    bool fixed = bdev != nullptr && bdev->lvol != nullptr && bdev->lvol->read_only;
    return static_cast<std::uint16_t>(kHasFlags | kSendFlush | kSendFua | kSendTrim | kSendWriteZeroes |
                                      kMultiConn | (fixed ? kReadOnly : 0));
  }
  [[nodiscard]] std::uint64_t size() const {
    Bdev* bdev = device();
    return bdev == nullptr ? 0 : bdev->bytes();
  }

  asio::awaitable<bool> reply(std::uint32_t option, std::uint32_t type, std::string data) {
    std::string out;
    put(out, kOptionReply);
    put(out, option);
    put(out, type);
    put(out, static_cast<std::uint32_t>(data.size()));
    co_return co_await send(out + data);
  }

  // False: negotiation is over, one way or the other.
  asio::awaitable<bool> option() {
    auto head = co_await receive(16);
    if (head.size() != 16) co_return false;
    const char* at = head.data();
    auto magic = take<std::uint64_t>(at);
    auto kind = take<std::uint32_t>(at), length = take<std::uint32_t>(at);
    if (magic != kOptionMagic || length > kMostOption) co_return false;
    std::string data;
    if (length > 0) data = co_await receive(length);
    if (data.size() != length) co_return false;
    if (kind == kOptExportName) co_return co_await export_name();
    if (kind == kOptGo || kind == kOptInfo) co_return co_await info(kind, data);
    if (kind == kOptList) {
      std::string name;
      put(name, static_cast<std::uint32_t>(bdev_.size()));
      bool listed = co_await reply(kind, kRepServer, name + bdev_);
      if (!listed) co_return false;
      co_return co_await reply(kind, kRepAck, "");
    }
    if (kind == kOptAbort) {
      (void)co_await reply(kind, kRepAck, "");
      co_return false;
    }
    co_return co_await reply(kind, kRepUnsupported, "");
  }

  asio::awaitable<bool> export_name() {
    std::string out;
    put(out, size());
    put(out, flags());
    if (!no_zeroes_) out.append(124, '\0');
    transmitting_ = co_await send(out);
    co_return false;
  }

  asio::awaitable<bool> info(std::uint32_t kind, std::string data) {
    const char* at = data.data();
    bool sane = data.size() >= 6;
    if (sane) {
      auto name = take<std::uint32_t>(at);
      sane = name <= data.size() - 6;
    }
    if (!sane) co_return co_await reply(kind, kRepInvalid, "");
    std::string body;
    put(body, std::uint16_t{0});
    put(body, size());
    put(body, flags());
    bool told = co_await reply(kind, kRepInfo, body);
    if (told) told = co_await reply(kind, kRepAck, "");
    transmitting_ = told && kind == kOptGo;
    co_return told&& kind == kOptInfo;
  }

  asio::awaitable<bool> command() {
    auto head = co_await receive(28);
    if (head.size() != 28) co_return false;
    const char* at = head.data();
    if (take<std::uint32_t>(at) != kRequest) co_return false;
    (void)take<std::uint16_t>(at);
    auto kind = take<std::uint16_t>(at);
    auto cookie = take<std::uint64_t>(at), offset = take<std::uint64_t>(at);
    auto length = take<std::uint32_t>(at);
    if (kind == kCmdDisc || (length > kMostData && (kind == kCmdRead || kind == kCmdWrite))) co_return false;
    std::string data;
    if (kind == kCmdWrite && length > 0) data = co_await receive(length);
    if (kind == kCmdWrite && data.size() != length) co_return false;
    Bdev* bdev = device();
    if (bdev == nullptr) co_return false;
    std::string out, bytes;
    put(out, kSimpleReply);
    put(out, nbd_errno(act(*bdev, kind, offset, length, data, &bytes)));
    put(out, cookie);
    co_return co_await send(out + bytes);
  }

  int act(Bdev& bdev, std::uint16_t kind, std::uint64_t offset, std::uint32_t length, const std::string& data,
          std::string* bytes) {
    if (kind == kCmdFlush) return 0;
    if (offset > bdev.bytes() || length > bdev.bytes() - offset) return kind == kCmdRead ? EINVAL : ENOSPC;
    if (kind == kCmdWrite) return target_.write(bdev, offset, data);
    if (kind == kCmdTrim) return target_.unmap(bdev, offset, length);
    if (kind == kCmdWriteZeroes) return target_.zero(bdev, offset, length);
    if (kind != kCmdRead) return EINVAL;
    bytes->resize(length);
    int error = target_.read(bdev, offset, *bytes);
    if (error != 0) bytes->clear();
    return error;
  }

  Target& target_;
  Socket& socket_;
  std::string bdev_;
  bool no_zeroes_ = false, transmitting_ = false;
};

asio::awaitable<void> serve(Target& target, Socket socket, std::string bdev,
                            std::function<void(Socket*, bool)> mark) {
  mark(&socket, true);
  Session session(target, socket, std::move(bdev));
  co_await session.run();
  mark(&socket, false);
}

}  // namespace

std::string NbdServer::open(const Bdev& bdev) {
  auto& one = exports_[bdev.name];
  if (one != nullptr) return one->path;
  auto path = folder_ + "/" + bdev.name + ".sock";
  auto made = std::make_shared<Export>(io_, bdev.name, path);
  boost::system::error_code error;
  if (path.size() >= sizeof(sockaddr_un::sun_path)) error = boost::asio::error::invalid_argument;
  ::unlink(path.c_str());
  if (!error) made->acceptor.open(asio::local::stream_protocol(), error);
  auto old = ::umask(0177);
  if (!error) made->acceptor.bind(asio::local::stream_protocol::endpoint(path), error);
  ::umask(old);
  if (!error) made->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    exports_.erase(bdev.name);
    return "";
  }
  one = made;
  accept(one);
  return path;
}

void NbdServer::accept(const std::shared_ptr<Export>& one) {
  one->acceptor.async_accept([this, one](boost::system::error_code error, Socket socket) {
    if (error || !one->open) return;
    auto mark = [one](Socket* client, bool there) {
      if (there)
        one->clients.insert(client);
      else
        one->clients.erase(client);
    };
    asio::co_spawn(io_, serve(target_, std::move(socket), one->bdev, mark), asio::detached);
    accept(one);
  });
}

void NbdServer::close(const Bdev& bdev) {
  auto it = exports_.find(bdev.name);
  if (it == exports_.end()) return;
  auto one = it->second;
  exports_.erase(it);
  one->open = false;
  boost::system::error_code ignored;
  one->acceptor.close(ignored);
  for (Socket* client : one->clients) client->shutdown(asio::socket_base::shutdown_both, ignored);
  ::unlink(one->path.c_str());
}

void NbdServer::stop() {
  for (const auto& [name, one] : exports_) {
    one->open = false;
    boost::system::error_code ignored;
    one->acceptor.close(ignored);
    ::unlink(one->path.c_str());
  }
  exports_.clear();
}

}  // namespace vnvme::sim
