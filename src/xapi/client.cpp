#include "xapi/client.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "core/json.hpp"
#include "core/log.hpp"
#include "core/text.hpp"
#include "xapi/decode.hpp"

namespace vnvme::xapi {
namespace {
namespace asio = boost::asio;
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr int kWriters = 4;  // so often a key may be taken away from us
constexpr std::size_t kMessageBytes = 16u << 10;
constexpr std::size_t kEventsAtOnce = 256;  // some 10 ms

std::string method_of(Class cls, std::string_view what) {
  return std::string(to_string(cls)) + "." + std::string(what);
}

std::string_view name_of(Field field) {
  switch (field) {
    case Field::other_config:
      return "other_config";
    case Field::blocked_operations:
      return "blocked_operations";
    case Field::sm_config:
      return "sm_config";
  }
  return "?";
}

// A decoder's complaint about an answer to a read: nothing was changed by it.
Error unreadable(Error error, const std::string& step) {
  error.step = step;
  error.text = "XAPI's answer to " + step + " cannot be used: " + error.text;
  return error;
}

}  // namespace

// Who logs in; lets the waiting ones go on, however the coroutine ends.
class Client::LoggingIn {
 public:
  explicit LoggingIn(Client& client) : client_(client) { client_.logging_in_ = true; }
  ~LoggingIn() {
    client_.logging_in_ = false;
    for (auto* timer : client_.waiting_) timer->cancel();
  }
  LoggingIn(const LoggingIn&) = delete;
  LoggingIn& operator=(const LoggingIn&) = delete;

 private:
  Client& client_;
};

class Client::Waiting {
 public:
  Waiting(Client& client, Timer& timer) : client_(client), timer_(timer) { client_.waiting_.insert(&timer_); }
  ~Waiting() { client_.waiting_.erase(&timer_); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  Client& client_;
  Timer& timer_;
};

Client::Client(asio::io_context& io, std::unique_ptr<rpc::Connector> connector, Options options)
    : io_(io),
      channel_(io, std::move(connector), options.channel),
      options_(std::move(options)),
      trouble_(Error{.code = Errc::unreachable, .text = "not asked yet"}),
      trouble_since_(MonoClock::now()) {}

Error Client::with_peer(Error error, const std::string& step) const {
  error.peer = channel_.endpoint();
  if (error.step.empty()) error.step = step;
  return error;
}

void Client::note(const Result<Answer>& answer) {
  // Any refusal but "not ready" shows that XAPI is there.
  auto failed = !answer ? std::optional<Error>(answer.error()) : std::nullopt;
  if (answer && answer->failure()) {
    auto refused = error_of(*answer->failure(), "");
    if (refused.code == Errc::unreachable) failed = std::move(refused);
  }
  if (failed && !trouble_) trouble_since_ = MonoClock::now();
  if (!failed && trouble_ && generation_ != 0) log::info("XAPI answers", {{"peer", channel_.endpoint()}});
  trouble_ = std::move(failed);
}

std::string Client::trouble() const {
  if (!trouble_) return {};
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(MonoClock::now() - trouble_since_).count();
  return "XAPI at " + channel_.endpoint() + " cannot be used since " + std::to_string(seconds) +
         " s: " + trouble_->text;
}

Task<Result<Answer>> Client::exchange(std::string method, Json params, Deadline deadline) {
  const auto id = next_id_++;
  auto text = call_text(method, params, id);
  auto body = co_await channel_.post(std::move(text), deadline);
  auto answer = body ? Answer::parse(std::move(*body), id) : Result<Answer>(fail(std::move(body.error())));
  note(answer);
  if (!answer) co_return fail(with_peer(std::move(answer.error()), method));
  co_return answer;
}

Task<Result<std::string>> Client::login(Deadline deadline) {
  Json params = Json::array();
  for (const auto& one : {options_.user, options_.password, std::string("1.0"), options_.originator})
    params.push_back(one);
  const std::string method = "session.login_with_password";
  auto answer = co_await exchange(method, std::move(params), deadline);
  // A session that nobody heard of is no effect that matters: whatever the caller wanted, it was not done.
  if (!answer) answer.error().outcome = Outcome::not_done;
  if (!answer) co_return fail(std::move(answer.error()));
  if (answer->failure()) {
    auto refused = error_of(*answer->failure(), method);
    refused.outcome = Outcome::not_done;
    co_return fail(with_peer(std::move(refused), method));
  }
  auto session = decode_text(answer->result());
  if (session && session->empty()) session = fail(Errc::corrupt, "an empty session");
  if (!session) co_return fail(with_peer(unreadable(std::move(session.error()), method), method));
  co_return session;
}

Task<Result<std::string>> Client::session_other_than(std::string stale, Deadline deadline) {
  while (true) {
    if (stopped_) co_return fail(Errc::cancelled, "the XAPI client was shut down");
    if (!session_.empty() && session_ != stale) co_return session_;
    if (deadline.passed())
      co_return fail(
          with_peer(Error{.code = Errc::timeout, .text = "no session before the deadline"}, "login"));
    if (!logging_in_) break;
    Timer timer(io_, deadline.at());
    Waiting waiting(*this, timer);
    co_await timer.async_wait(kAwait);
    // A cancelled coroutine must not wait again: its next await would throw.
    auto cancelled = co_await asio::this_coro::cancellation_state;
    if (cancelled.cancelled() != asio::cancellation_type::none)
      co_return fail(Errc::cancelled, "given up by the caller");
  }
  LoggingIn mine(*this);
  session_.clear();
  auto session = co_await login(deadline.capped(options_.login));
  if (!session) co_return session;
  session_ = *session;
  ++generation_;
  co_return session;
}

Task<Result<Answer>> Client::call(std::string method, Json params, Deadline deadline) {
  std::string stale;
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto session = co_await session_other_than(stale, deadline);
    if (!session) co_return fail(std::move(session.error()));
    Json full = Json::array();
    full.push_back(*session);
    for (const auto& one : params) full.push_back(one);
    auto answer = co_await exchange(method, std::move(full), deadline);
    if (!answer) co_return answer;
    if (!answer->failure()) co_return answer;
    if (answer->failure()->code != kSessionInvalid)
      co_return fail(with_peer(error_of(*answer->failure(), method), method));
    stale = *session;
    if (session_ == stale) session_.clear();
  }
  co_return fail(with_peer(
      Error{.code = Errc::unreachable, .text = "XAPI refuses the session that it has just opened"}, method));
}

Task<Result<void>> Client::call_void(std::string method, Json params, Deadline deadline) {
  auto answer = co_await call(std::move(method), std::move(params), deadline);
  if (!answer) co_return fail(std::move(answer.error()));
  co_return Result<void>();
}

Task<Result<EventBatch>> Client::events(std::vector<Class> classes, Cursor from, MonoClock::duration timeout,
                                        Deadline deadline) {
  const std::string method = "event.from";
  auto session = co_await session_other_than("", deadline);
  if (!session) co_return fail(std::move(session.error()));
  const auto generation = generation_;
  if (!from.empty() && from.session != generation)
    co_return fail(Errc::conflict, "the events of a session that is over cannot be followed");
  Json names = Json::array();
  for (auto cls : classes) names.push_back(std::string(to_string(cls)));
  Json params = Json::array();
  params.push_back(*session);
  params.push_back(std::move(names));
  params.push_back(from.token);
  params.push_back(std::chrono::duration<double>(timeout).count());
  auto answer = co_await exchange(method, std::move(params), deadline);
  if (!answer) co_return fail(std::move(answer.error()));
  if (answer->failure()) {
    auto refused = error_of(*answer->failure(), method);
    const bool invalid = answer->failure()->code == kSessionInvalid;
    if (invalid && session_ == *session) session_.clear();
    // The session is over, and with it the cursor; the next call opens another.
    if (invalid) refused.code = Errc::conflict;
    co_return fail(with_peer(std::move(refused), method));
  }
  auto decoder = BatchDecoder::open(answer->result(), generation);
  if (!decoder) co_return fail(with_peer(unreadable(std::move(decoder.error()), method), method));
  while (!decoder->done()) {
    auto read = decoder->step(kEventsAtOnce);
    if (!read) co_return fail(with_peer(unreadable(std::move(read.error()), method), method));
    // The others of this thread get their turn.
    if (!decoder->done()) co_await asio::post(io_, asio::use_awaitable);
    auto cancelled = co_await asio::this_coro::cancellation_state;
    if (stopped_ || cancelled.cancelled() != asio::cancellation_type::none)
      co_return fail(Errc::cancelled, "given up while XAPI's database was read");
  }
  co_return decoder->take();
}

Task<Result<Record>> Client::get_record(Class cls, Ref ref, Deadline deadline) {
  auto method = method_of(cls, "get_record");
  Json params = Json::array();
  params.push_back(ref.str());
  auto answer = co_await call(method, std::move(params), deadline);
  if (!answer) co_return fail(std::move(answer.error()));
  auto record = decode_record(cls, std::move(ref), answer->result());
  if (!record) co_return fail(with_peer(unreadable(std::move(record.error()), method), method));
  co_return record;
}

Task<Result<Ref>> Client::get_by_uuid(Class cls, std::string uuid, Deadline deadline) {
  auto method = method_of(cls, "get_by_uuid");
  Json params = Json::array();
  params.push_back(std::move(uuid));
  auto answer = co_await call(method, std::move(params), deadline);
  if (!answer) co_return fail(std::move(answer.error()));
  auto ref = decode_ref(answer->result());
  if (ref && ref->empty()) ref = fail(Errc::corrupt, "a null reference");
  if (!ref) co_return fail(with_peer(unreadable(std::move(ref.error()), method), method));
  co_return ref;
}

Task<Result<std::vector<Record>>> Client::get_all_records_where(Class cls, std::string query,
                                                                Deadline deadline) {
  auto method = method_of(cls, query.empty() ? "get_all_records" : "get_all_records_where");
  Json params = Json::array();
  if (!query.empty()) params.push_back(std::move(query));
  auto answer = co_await call(method, std::move(params), deadline);
  if (!answer) co_return fail(std::move(answer.error()));
  auto records = decode_records(cls, answer->result());
  if (!records) co_return fail(with_peer(unreadable(std::move(records.error()), method), method));
  co_return records;
}

Task<Result<PowerState>> Client::get_power_state(Ref vm, Deadline deadline) {
  const std::string method = "VM.get_power_state";
  Json params = Json::array();
  params.push_back(vm.str());
  auto answer = co_await call(method, std::move(params), deadline);
  if (!answer) co_return fail(std::move(answer.error()));
  auto state = decode_power_state(answer->result());
  if (!state) co_return fail(with_peer(unreadable(std::move(state.error()), method), method));
  co_return state;
}

Task<Result<std::vector<std::string>>> Client::get_allowed_VBD_devices(Ref vm, Deadline deadline) {
  const std::string method = "VM.get_allowed_VBD_devices";
  Json params = Json::array();
  params.push_back(vm.str());
  auto answer = co_await call(method, std::move(params), deadline);
  if (!answer) co_return fail(std::move(answer.error()));
  auto devices = decode_texts(answer->result());
  if (!devices) co_return fail(with_peer(unreadable(std::move(devices.error()), method), method));
  co_return devices;
}

Task<Result<void>> Client::set_key(Class cls, Ref ref, Field field, std::string key, std::string value,
                                   Deadline deadline) {
  auto method = method_of(cls, "add_to_" + std::string(name_of(field)));
  Json params = Json::array();
  for (const auto& one : {ref.str(), key, value}) params.push_back(one);
  bool removed = false;
  for (int attempt = 0; attempt < kWriters; ++attempt) {
    auto added = co_await call_void(method, params, deadline);
    if (added) co_return added;
    if (added.error().code != Errc::already_exists) {
      if (removed) added.error().outcome = Outcome::unknown;  // the former value is gone
      co_return added;
    }
    auto taken = co_await remove_key(cls, ref, field, key, deadline);
    if (!taken) {
      if (removed) taken.error().outcome = Outcome::unknown;
      co_return taken;
    }
    removed = true;
  }
  co_return fail(with_peer(
      Error{.code = Errc::busy,
            .outcome = Outcome::unknown,
            .text = "somebody else keeps writing the key \"" + printable(key, 64) + "\" of " + ref.str()},
      method));
}

Task<Result<void>> Client::remove_key(Class cls, Ref ref, Field field, std::string key, Deadline deadline) {
  auto method = method_of(cls, "remove_from_" + std::string(name_of(field)));
  Json params = Json::array();
  params.push_back(ref.str());
  params.push_back(std::move(key));
  co_return co_await call_void(std::move(method), std::move(params), deadline);
}

Task<Result<void>> Client::set_userdevice(Ref vbd, std::string userdevice, Deadline deadline) {
  Json params = Json::array();
  params.push_back(vbd.str());
  params.push_back(std::move(userdevice));
  const std::string method = "VBD.set_userdevice";
  co_return co_await call_void(method, std::move(params), deadline);
}

Task<Result<void>> Client::plug_pbd(Ref pbd, Deadline deadline) {
  Json params = Json::array();
  params.push_back(pbd.str());
  const std::string method = "PBD.plug";
  co_return co_await call_void(method, std::move(params), deadline);
}

Task<Result<void>> Client::scan_sr(Ref sr, Deadline deadline) {
  Json params = Json::array();
  params.push_back(sr.str());
  const std::string method = "SR.scan";
  co_return co_await call_void(method, std::move(params), deadline);
}

Task<Result<Ref>> Client::create_message(Message message, Deadline deadline) {
  const std::string method = "message.create";
  if (message.cls == Class::vbd || message.cls == Class::pbd)
    co_return fail(Errc::invalid_argument,
                   "XAPI has no messages about a " + std::string(to_string(message.cls)));
  if (!is_utf8(message.body)) message.body = printable(message.body, kMessageBytes);
  // The classes of message.create are spelled differently: "Host", "Pool".
  std::string cls(to_string(message.cls));
  if (message.cls == Class::host || message.cls == Class::pool)
    cls[0] = static_cast<char>(cls[0] - 'a' + 'A');
  Json params = Json::array();
  params.push_back(std::move(message.name));
  params.push_back(message.priority);
  params.push_back(std::move(cls));
  params.push_back(std::move(message.uuid));
  params.push_back(utf8_prefix(message.body, kMessageBytes));
  auto answer = co_await call(method, std::move(params), deadline);
  if (!answer) co_return fail(std::move(answer.error()));
  auto ref = decode_ref(answer->result());
  if (!ref) {
    ref.error().outcome = Outcome::done;  // XAPI accepted it, only its name is not known
    co_return fail(with_peer(unreadable(std::move(ref.error()), method), method));
  }
  co_return ref;
}

Task<void> Client::logout(Deadline deadline) {
  if (session_.empty() || stopped_) co_return;
  Json params = Json::array();
  params.push_back(session_);
  session_.clear();
  const std::string method = "session.logout";
  auto answer = co_await exchange(method, std::move(params), deadline);
  if (!answer) log::debug("XAPI did not take the logout", {{"why", answer.error().text}});
}

void Client::shutdown() {
  stopped_ = true;
  channel_.shutdown();
  for (auto* timer : waiting_) timer->cancel();
}

}  // namespace vnvme::xapi
