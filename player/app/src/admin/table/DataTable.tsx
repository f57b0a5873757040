import { ArrowDown, ArrowUp } from "lucide-react";
import { Fragment, type ReactNode, useState } from "react";
import { inOrder, nextOrder, type Order, type Sortable } from "./sorting";
import classes from "./table.module.css";

export interface Column<T> {
  key: string;
  title: string;
  cell: (row: T) => ReactNode;
  isNumber?: boolean;
  /** Where there is little room it is left out, and `detail` tells it. */
  isWide?: boolean;
  /** What rows are sorted by; without it they are not sorted by this column. */
  sortBy?: (row: T) => Sortable;
}

interface DataTableProps<T> {
  /** What it lists. */
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  keyOf: (row: T) => string;
  /** What is left out where there is little room, in a row below. */
  detail?: (row: T) => ReactNode;
  /** What is said where there is nothing to list. */
  empty: string;
  isBusy?: boolean;
}

/** Rows with a head that sorts them. */
export function DataTable<T>(props: DataTableProps<T>) {
  const { label, columns, rows, keyOf, detail, empty, isBusy = false } = props;
  const [order, setOrder] = useState<Order>();
  const sortBy = columns.find(({ key }) => key === order?.key)?.sortBy;
  const sorted = order && sortBy ? inOrder(rows, sortBy, order.isDescending) : rows;
  if (rows.length === 0) return <p className={classes.empty}>{empty}</p>;
  return (
    <table className={classes.table} aria-label={label} aria-busy={isBusy}>
      <thead>
        <tr>
          {columns.map((column) => (
            <ColumnHead
              key={column.key}
              column={column}
              order={order?.key === column.key ? order : undefined}
              onSort={() => setOrder(nextOrder(order, column.key))}
            />
          ))}
        </tr>
      </thead>
      <tbody>
        {sorted.map((row) => (
          <Fragment key={keyOf(row)}>
            <tr data-row={keyOf(row)}>
              {columns.map((column, place) => {
                const Cell = place === 0 ? "th" : "td";
                return (
                  <Cell
                    key={column.key}
                    scope={place === 0 ? "row" : undefined}
                    className={lookOf(column)}
                    data-wide={column.isWide || undefined}
                  >
                    {column.cell(row)}
                  </Cell>
                );
              })}
            </tr>
            {detail && (
              <tr className={classes.detail}>
                <td colSpan={columns.filter(({ isWide }) => !isWide).length}>{detail(row)}</td>
              </tr>
            )}
          </Fragment>
        ))}
      </tbody>
    </table>
  );
}

interface ColumnHeadProps<T> {
  column: Column<T>;
  order: Order | undefined;
  onSort: () => void;
}

function ColumnHead<T>({ column, order, onSort }: ColumnHeadProps<T>) {
  const sorted = order && (order.isDescending ? "descending" : "ascending");
  const Arrow = order?.isDescending ? ArrowDown : ArrowUp;
  return (
    <th
      scope="col"
      className={lookOf(column)}
      data-wide={column.isWide || undefined}
      aria-sort={column.sortBy ? (sorted ?? "none") : undefined}
    >
      {column.sortBy ? (
        <button type="button" className={classes.sort} onClick={onSort}>
          {column.title}
          <Arrow size={12} aria-hidden data-off={order === undefined || undefined} />
        </button>
      ) : (
        column.title
      )}
    </th>
  );
}

function lookOf<T>(column: Column<T>): string | undefined {
  return column.isNumber ? `numbers ${classes.number}` : undefined;
}
