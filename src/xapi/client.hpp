// The XAPI port over XAPI's JSON-RPC (src/xapi/codec.hpp). Sessions are opened
// when first needed and renewed when XAPI no longer knows them.
#pragma once
#include <boost/asio/io_context.hpp>
#include <memory>
#include <set>
#include <string>

#include "vnvme/xapi.hpp"
#include "xapi/channel.hpp"
#include "xapi/codec.hpp"

namespace vnvme::xapi {

// The local socket of XAPI (ocaml/xapi/xapi_globs.ml). Whoever may connect to it is root: XAPI asks for no
// password there (ocaml/xapi/xapi_session.ml, login_with_password), and a pool member passes the calls on to
// its master (ocaml/xapi/api_server.ml).
inline constexpr const char* kLocalSocket = "unix:/var/lib/xcp/xapi";

class Client final : public Xapi {
 public:
  struct Options {
    std::string user = "root";
    std::string password;  // empty on the local socket
    std::string originator = "vnvmed";
    MonoClock::duration login = std::chrono::seconds(20);
    Channel::Options channel;
  };
  // The io_context and this object outlive every call; shutdown() ends them.
  Client(boost::asio::io_context& io, std::unique_ptr<rpc::Connector> connector, Options options);

  Task<Result<EventBatch>> events(std::vector<Class> classes, Cursor from, MonoClock::duration timeout,
                                  Deadline deadline) override;
  Task<Result<Record>> get_record(Class cls, Ref ref, Deadline deadline) override;
  Task<Result<Ref>> get_by_uuid(Class cls, std::string uuid, Deadline deadline) override;
  Task<Result<std::vector<Record>>> get_all_records_where(Class cls, std::string query,
                                                          Deadline deadline) override;
  Task<Result<PowerState>> get_power_state(Ref vm, Deadline deadline) override;
  Task<Result<std::vector<std::string>>> get_allowed_VBD_devices(Ref vm, Deadline deadline) override;
  Task<Result<void>> set_key(Class cls, Ref ref, Field field, std::string key, std::string value,
                             Deadline deadline) override;
  Task<Result<void>> remove_key(Class cls, Ref ref, Field field, std::string key, Deadline deadline) override;
  Task<Result<void>> set_userdevice(Ref vbd, std::string userdevice, Deadline deadline) override;
  Task<Result<void>> plug_pbd(Ref pbd, Deadline deadline) override;
  Task<Result<void>> scan_sr(Ref sr, Deadline deadline) override;
  Task<Result<Ref>> create_message(Message message, Deadline deadline) override;

  [[nodiscard]] std::uint64_t session() const override { return generation_; }
  [[nodiscard]] std::string trouble() const override;
  [[nodiscard]] const std::string& endpoint() const override { return channel_.endpoint(); }

  // Tells XAPI that the session is over: it keeps at most 500 of one originator, each for a day. Best effort.
  Task<void> logout(Deadline deadline);
  void shutdown();

 private:
  class LoggingIn;
  class Waiting;
  // A session that is not `stale`; logs in when there is none. Callers that come meanwhile wait for the one
  // login.
  Task<Result<std::string>> session_other_than(std::string stale, Deadline deadline);
  Task<Result<std::string>> login(Deadline deadline);
  Task<Result<Answer>> exchange(std::string method, nlohmann::json params, Deadline deadline);
  // With the session as first parameter; renews it once.
  Task<Result<Answer>> call(std::string method, nlohmann::json params, Deadline deadline);
  Task<Result<void>> call_void(std::string method, nlohmann::json params, Deadline deadline);
  void note(const Result<Answer>& answer);
  Error with_peer(Error error, const std::string& step) const;

  boost::asio::io_context& io_;
  Channel channel_;
  Options options_;
  std::string session_;
  std::uint64_t generation_ = 0;
  std::uint64_t next_id_ = 1;
  bool logging_in_ = false, stopped_ = false;
  std::set<Timer*> waiting_;
  std::optional<Error> trouble_;
  MonoClock::time_point trouble_since_;
};

}  // namespace vnvme::xapi
