"""A session of SQLAlchemy's ORM over psycopg: tables made, reflected, written, read."""
import datetime
import time
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from session import ENDPOINT, conninfo, saw, tell


class Base(DeclarativeBase):
    metadata = sa.MetaData(schema=ENDPOINT["schema"])


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(sa.Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(50), unique=True)
    tags: Mapped[list[str]] = mapped_column(ARRAY(sa.Text))
    about: Mapped[dict] = mapped_column(JSONB)
    orders: Mapped[list["Order"]] = relationship(back_populates="customer")


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(sa.Identity(), primary_key=True)
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey(Customer.id), index=True)
    total: Mapped[Decimal] = mapped_column(sa.Numeric(12, 2))
    day: Mapped[datetime.date]
    customer: Mapped[Customer] = relationship(back_populates="orders")


def main():
    engine = sa.create_engine("postgresql+psycopg://", connect_args=conninfo())
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    write(engine)
    read(engine)
    reflect(engine)
    transactions(engine)
    engine.dispose()
    tell()


def write(engine):
    with Session(engine) as session:
        session.add_all([Customer(name=f"c{i}", tags=["x", f"t{i}"], about={"i": i}, orders=[
            Order(total=Decimal(j) / 4, day=datetime.date(2024, 1, 1 + j)) for j in range(i % 9)])
            for i in range(120)])
        session.commit()
        changed = session.execute(sa.update(Customer).where(Customer.name == "c7")
                                  .values(tags=["changed"]).returning(Customer.id))
        saw("updated", len(changed.all()))
        session.execute(insert(Customer).values(name="c7", tags=[], about={})
                        .on_conflict_do_update(index_elements=["name"],
                                               set_={"about": {"again": True}}))
        session.commit()
        saw("upserted", session.scalar(sa.select(Customer.about).where(Customer.name == "c7")))


def read(engine):
    totals = (sa.select(Customer.name, sa.func.count(Order.id), sa.func.sum(Order.total),
                        sa.func.min(Order.day)).join(Order).group_by(Customer.name)
              .having(sa.func.count() > 7).order_by(sa.func.sum(Order.total).desc(),
                                                    Customer.name))
    with Session(engine) as session:
        wait_for_mirror(session)
        for route in ("auto", "postgres"):
            session.execute(sa.text(f"SET slipway.route = '{route}'"))
            saw(f"totals {route}", [tuple(row) for row in session.execute(totals)])
        saw("loaded", [(one.name, len(one.orders)) for one in session.scalars(
            sa.select(Customer).options(sa.orm.selectinload(Customer.orders))
            .order_by(Customer.id).limit(12))])
        streamed = session.execute(sa.select(Order.total).order_by(Order.id)
                                   .execution_options(yield_per=50))
        saw("streamed", sum((row[0] for row in streamed), Decimal(0)))
        ranked = sa.select(Order.id, sa.func.rank().over(
            partition_by=Order.customer_id, order_by=Order.total.desc()).label("place")).subquery()
        saw("windows", session.scalar(sa.select(sa.func.count()).where(ranked.c.place == 1)
                                      .select_from(ranked)))
        saw("exists", session.scalar(sa.select(sa.exists().where(Order.total > 1.9))))


def wait_for_mirror(session):
    ready = sa.text("SELECT count(*) FROM slipway.tables WHERE schema_name = :schema "
                    "AND table_name IN ('customers', 'orders') AND state = 'ready'")
    for _ in range(1200):
        if session.scalar(ready, {"schema": ENDPOINT["schema"]}) == 2:
            return
        time.sleep(0.1)
    raise TimeoutError("the tables are not mirrored")


def reflect(engine):
    """The catalogs' widest joins."""
    schema = ENDPOINT["schema"]
    inspector = sa.inspect(engine)
    saw("tables", sorted(inspector.get_table_names(schema=schema)))
    for table in ("customers", "orders", "items"):
        saw(f"columns of {table}", inspector.get_columns(table, schema=schema))
        saw(f"keys of {table}", [inspector.get_pk_constraint(table, schema=schema),
                                 inspector.get_foreign_keys(table, schema=schema),
                                 inspector.get_unique_constraints(table, schema=schema),
                                 inspector.get_indexes(table, schema=schema)])
    mirrored = sa.MetaData(schema=schema)
    mirrored.reflect(engine, only=["orders"])
    saw("reflected", sorted(mirrored.tables))


def transactions(engine):
    with engine.connect() as connection:
        customers = Customer.__table__
        count = sa.select(sa.func.count()).select_from(customers)
        with connection.begin() as outer:
            connection.execute(sa.delete(Order.__table__))
            inner = connection.begin_nested()
            try:
                connection.execute(sa.text(f"SELECT sum(1 / (id - id)) FROM {customers.fullname}"))
            except sa.exc.DataError as error:
                saw("nested error", error.orig.sqlstate)
                inner.rollback()
            saw("in the block", connection.scalar(
                sa.select(sa.func.count()).select_from(Order.__table__)))
            outer.rollback()
        saw("rolled back", connection.scalar(count))
        connection.rollback()
        with connection.begin_twophase() as prepared:
            connection.execute(sa.insert(customers).values(name="two", tags=[], about={}))
            prepared.prepare()
            prepared.commit()
        saw("two-phase", connection.scalar(count))
        connection.rollback()
    serial = engine.execution_options(isolation_level="SERIALIZABLE")
    with serial.begin() as connection:
        saw("serializable", connection.scalar(count))


main()
